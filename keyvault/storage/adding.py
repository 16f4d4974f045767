"""Adds amounts to rows that are nearly always there already, such as the totals of the running minute.

On SQLite that is an update, and an insert only where no row was there. An update carries few columns: the
seldom ones come last, and what is zero from some width on is left out. A server is told all rows with one message.
A sum of money stays at the most that 64 bits can say: SQLite would go on with a fraction, a server refuse the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from keyvault.storage.compiled import for_rows, insert_into

Amounts = tuple[tuple[Any, ...], Sequence[int]]
"""What a row is found by, in the order of its primary key, and what is added to its columns."""

MOST: Final = 2**63 - 1


class Adding:
    """Adds to some columns of one table."""

    def __init__(
        self,
        table: sa.Table,
        names: Sequence[str],
        dialect: sa.Dialect,
        *,
        widths: Sequence[int] = (),
        money: Collection[str] = (),
    ) -> None:
        """`widths`: of how many names, from the first, the amounts are often all that is not zero; ascending.
        `money`: the names whose sums may come to `MOST`."""
        self._is_sqlite = dialect.name == "sqlite"
        self._widths = (*widths, len(names))
        self._compile = partial(_update, table, names, money, dialect)
        self._updates: dict[int, str] = {}
        """By width; compiled when first needed."""
        insert = insert_into(table, is_sqlite=self._is_sqlite)
        insert = insert.values({name: sa.bindparam(name) for name in (*table.primary_key.columns.keys(), *names)})
        adding = {name: _sum(table.c[name], insert.excluded[name], name in money, dialect) for name in names}
        upsert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=adding)
        self._upsert = for_rows(upsert, dialect)
        self._in_order = [names.index(column.name) for column in table.columns if column.name in names]

    def run(self, cursor: Any, rows: Sequence[Amounts]) -> None:
        """Add to all rows, no two of which have the same key."""
        if not self._is_sqlite:
            self._upsert.run(cursor, [self._row(key, amounts) for key, amounts in rows])
            return
        for key, amounts in rows:
            for width in self._widths:
                if not any(amounts[width:]):
                    break
            update = self._updates.get(width)
            if update is None:
                update = self._updates[width] = self._compile(width)
            cursor.execute(update, (*amounts[:width], *key))
            if not cursor.rowcount:
                self._upsert.run(cursor, [self._row(key, amounts)])

    def _row(self, key: tuple[Any, ...], amounts: Sequence[int]) -> tuple[Any, ...]:
        """In the order of the table's columns, in which the insert takes them."""
        return (*key, *(amounts[at] for at in self._in_order))


def _update(table: sa.Table, names: Sequence[str], money: Collection[str], dialect: sa.Dialect, width: int) -> str:
    """Takes the amounts of so many names, then the key."""
    columns = [table.c[name] for name in names[:width]]
    amounts = [sa.bindparam(f"add_{column.name}", type_=sa.BigInteger) for column in columns]
    sums = [_sum(*each, each[0].name in money, dialect) for each in zip(columns, amounts, strict=True)]
    adding = list(zip(columns, sums, strict=True))
    this = [column == sa.bindparam(f"of_{column.name}", type_=column.type) for column in table.primary_key]
    return str(sa.update(table).where(*this).ordered_values(*adding).compile(dialect=dialect))


def _sum(
    column: sa.ColumnElement[int], amount: sa.ColumnElement[int], may_be_most: bool, dialect: sa.Dialect
) -> sa.ColumnElement[Any]:
    """What a column comes to with an amount more; `may_be_most`: but `MOST` where that is more than there can be."""
    if not may_be_most:
        return column + amount
    most: sa.ColumnElement[int] = sa.literal_column(str(MOST))
    if dialect.name == "sqlite":
        return sa.func.min(column + amount, most)
    return sa.func.least(sa.cast(column, sa.Numeric) + amount, most)
