"""Statements compiled once and run on the driver itself, for paths where SQLAlchemy's own way costs too much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

Row = Sequence[Any]

_MOST: Final = 16
"""Rows per grouped statement: so few that every size stays prepared, so many that most batches take one."""


class Statement:
    """A statement that takes rows of values, compiled once; the driver does one row after the other.

    That is the quickest on SQLite: of many rows in one statement it would have to be able to take back the first.
    """

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        self._text = str(statement.compile(dialect=dialect))  # type: ignore[attr-defined]

    def run(self, cursor: Any, rows: Sequence[Row]) -> int:
        """Execute for all rows; how many rows were touched."""
        if not rows:
            return 0
        cursor.executemany(self._text, rows)
        return int(cursor.rowcount)


class Grouped(Statement):
    """The same with many rows at once, for a server, where a statement is a message there and back: the group of values
    after VALUES is repeated."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        super().__init__(statement, dialect)
        start = self._text.index("VALUES (") + len("VALUES ")
        end = _closing(self._text, start) + 1
        self._head, self._group, self._tail = self._text[:start], self._text[start:end], self._text[end:]
        self._sized: dict[int, str] = {}

    def run(self, cursor: Any, rows: Sequence[Row]) -> int:
        touched = 0
        for at in range(0, len(rows), _MOST):
            part = rows[at : at + _MOST]
            cursor.execute(self._sized.get(len(part)) or self._of(len(part)), list(chain.from_iterable(part)))
            touched += cursor.rowcount
        return touched

    def _of(self, size: int) -> str:
        """The text for so many rows."""
        text = self._sized[size] = self._head + ", ".join([self._group] * size) + self._tail
        return text


def for_rows(statement: sa.Executable, dialect: sa.Dialect) -> Statement:
    """The kind of statement that suits a database."""
    return Statement(statement, dialect) if dialect.name == "sqlite" else Grouped(statement, dialect)


class Query:
    """A statement that takes values by name, compiled once."""

    def __init__(self, statement: sa.Executable, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        self.text = str(compiled)
        self._defaults = [(name, compiled.params[name]) for name in compiled.positiontup or ()]

    def run(self, cursor: Any, values: Mapping[str, Any]) -> None:
        cursor.execute(self.text, self.values(values))

    def values(self, values: Mapping[str, Any]) -> list[Any]:
        """Those that the text asks for, in its order."""
        return [values.get(name, default) for name, default in self._defaults]


class Prepared:
    """A statement of a transaction that is asked again and again, whatever the database: compiled once for each kind.

    Rows are as the driver gives them. On SQLite it is run on the driver, which takes a tenth of the time; SQLAlchemy
    opens no transaction for it then, of which a single question has no need.
    """

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = statement
        self._queries: dict[str, Query] = {}

    def first(self, tx: sa.Connection, values: Mapping[str, Any]) -> Row | None:
        """The first row that it finds."""
        cursor = self._run(tx, values)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    def touch(self, tx: sa.Connection, values: Mapping[str, Any]) -> int:
        """How many rows it has changed."""
        return int(self._run(tx, values).rowcount)

    def _run(self, tx: sa.Connection, values: Mapping[str, Any]) -> Any:
        kind = tx.dialect.name
        query = self._queries.get(kind)
        if query is None:
            query = self._queries[kind] = Query(self._statement, positional_dialect(kind == "sqlite"))
        if kind != "sqlite":
            return tx.exec_driver_sql(query.text, tuple(query.values(values)))
        driver: Any = tx.connection.driver_connection
        try:
            return driver.execute(query.text, query.values(values))
        except driver.Error as error:
            raise sa.exc.DBAPIError.instance(query.text, None, error, driver.Error, hide_parameters=True) from error


def positional_dialect(is_sqlite: bool) -> sa.Dialect:
    """A driver's dialect with positional parameters, which are the quickest to bind."""
    if is_sqlite:
        return sqlite.dialect(paramstyle="qmark")
    from sqlalchemy.dialects import postgresql  # 2.5 MB of memory, for nothing where the database is SQLite

    return postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]


def insert_into(table: sa.Table, *, is_sqlite: bool) -> Any:
    """An insert that may say what to do about rows that are there already."""
    if is_sqlite:
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def _closing(text: str, at: int) -> int:
    """Where the parenthesis that opens at `at` closes."""
    depth = 0
    for position in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if not depth:
            return position
    raise AssertionError("a group of values that does not end")
