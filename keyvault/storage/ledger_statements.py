"""The ledger's statements for each kind of database, made with SQLAlchemy Core and compiled once for one row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache, partial
from typing import Any, Final

import sqlalchemy as sa

from keyvault.storage.adding import Adding
from keyvault.storage.compiled import Query, Statement, for_rows, insert_into, positional_dialect
from keyvault.storage.schema import (
    SUMS,
    affinities,
    aliases,
    attempts,
    balance_spending,
    ledger_changes,
    objects,
    open_attempts,
    paid_work,
    purse,
    rollout_requests,
    targets,
    totals_day,
    totals_minute,
    totals_quarter,
    workers,
)

NO_NUMBER: Final = -1
NO_TEXT: Final = ""
"""What stands for NULL in rows handed to `open` and `settle`."""

SELDOM: Final = (
    *("cache_write", "cache_write_1h", "audio_input", "audio_output", "images"),
    *("error_code", "error_text", "tags"),
)
"""What few attempts have. A row of `attempts` may be told without all of it."""
_SELDOM_AT: Final = [attempts.columns.keys().index(name) for name in SELDOM]
USUAL: Final = len(attempts.columns) - len(SELDOM)
"""How many columns it has then."""

_USUAL: Final = (
    *("requests", "attempts", "input", "cached_input", "output", "reasoning", "cost_pico", "charge_pico"),
    *("basis_provider", *(name for name in SUMS if name.startswith("total_"))),
)
_OF_STREAMS: Final = tuple(name for name in SUMS if name.startswith("first_"))
ADDED: Final = (*_USUAL, *_OF_STREAMS, *(name for name in SUMS if name not in {*_USUAL, *_OF_STREAMS}))
"""`SUMS`, those last to which few transactions have anything to add: without streams, without what goes wrong."""
_MONEY: Final = ("cost_pico", "charge_pico", "doubt_pico")
_WIDTHS: Final = (_USUAL.index("total_8"), len(_USUAL), len(_USUAL) + len(_OF_STREAMS))


class Statements:
    """All statements of the ledger for one kind of database."""

    def __init__(self, is_sqlite: bool) -> None:
        dialect = positional_dialect(is_sqlite)
        insert = partial(insert_into, is_sqlite=is_sqlite)
        self.insert_alias = for_rows(insert(aliases).on_conflict_do_nothing(), dialect)
        self.insert_target = for_rows(insert(targets).on_conflict_do_nothing(), dialect)
        made = insert(affinities).values({c.name: sa.bindparam(c.name) for c in affinities.c})
        newer = {name: made.excluded[name] for name in ("target_id", "at_ms")}
        self.upsert_affinity = for_rows(made.on_conflict_do_update(index_elements=["digest"], set_=newer), dialect)
        self.insert_open = for_rows(insert(open_attempts).values(_values(open_attempts)), dialect)
        drawn = insert(rollout_requests).values(_values(rollout_requests)).on_conflict_do_nothing()
        self.insert_drawn = for_rows(drawn, dialect)
        settled = insert(attempts).on_conflict_do_nothing()
        self.insert_attempt = for_rows(settled.values(_values(attempts)), dialect)
        self.insert_usual = for_rows(settled.values(_values(attempts, but=SELDOM)), dialect)
        self.delete_open = for_rows(_forget(is_sqlite), dialect)
        tables = (totals_minute, totals_quarter, totals_day)
        self.totals = [Adding(table, ADDED, dialect, widths=_WIDTHS, money=_MONEY) for table in tables]
        self.changes = Adding(ledger_changes, ("changes",), dialect)
        taken = insert(balance_spending).values({c.name: sa.bindparam(c.name) for c in balance_spending.c})
        changes = {name: taken.excluded[name] for name in ("version", "charged_pico", "doubt_pico", "mac")}
        taken = taken.on_conflict_do_update(index_elements=["balance_id"], set_=changes)
        self.upsert_spending = for_rows(taken, dialect)
        holder = sa.select(purse.c.worker).where(purse.c.id == sa.literal_column("1"))
        self.update_spending = Statement(_replace_spending(), dialect)
        self.select_purse = Query(holder if is_sqlite else holder.with_for_update(read=True), dialect)
        self.select_spending = Query(_spending(is_sqlite), dialect)
        self.select_orphans = Query(_orphans(is_sqlite), dialect)
        self.select_last = Query(_last(), dialect)
        self.update_final = Query(_finish(), dialect)
        self.update_object = Query(_settle_object(), dialect)
        work = insert(paid_work).from_select(list(paid_work.c.keys()), _paid_work())
        self.insert_work = Query(work.on_conflict_do_nothing(), dialect)
        self.select_oldest = Query(sa.select(sa.func.min(totals_minute.c.bucket)), dialect)
        minutes = sa.delete(totals_minute).where(totals_minute.c.bucket < sa.bindparam("before"))
        self.delete_minutes = Query(minutes, dialect)


@cache
def statements(is_sqlite: bool) -> Statements:
    """Compiled once in a process: it takes a tenth of a second."""
    return Statements(is_sqlite)


def with_seldom(usual: Sequence[Any], seldom: Sequence[Any]) -> list[Any]:
    """A row of `attempts` with what few have, in the order of the columns; in `seldom` None stands for NULL."""
    row = list(usual)
    for at, name, value in zip(_SELDOM_AT, SELDOM, seldom, strict=True):
        nothing = NO_TEXT if isinstance(attempts.c[name].type, sa.Text) else NO_NUMBER
        row.insert(at, nothing if value is None else value)
    return row


def _values(table: sa.Table, but: Collection[str] = ()) -> dict[str, sa.ColumnElement[Any]]:
    """A parameter for each column, taking `NO_NUMBER` or `NO_TEXT` for NULL where a column may be NULL.

    sqlite3 takes 1 µs to bind a None and 0.03 µs to bind a number, and most of a row's columns are NULL.
    """
    values: dict[str, sa.ColumnElement[Any]] = {}
    for column in table.columns:
        if column.name in but:
            continue
        nothing = NO_TEXT if isinstance(column.type, sa.Text) else NO_NUMBER
        value = sa.bindparam(column.name, type_=column.type)
        absent = sa.literal_column(repr(nothing), column.type)
        values[column.name] = sa.func.nullif(value, absent) if column.nullable else value
    return values


def _forget(is_sqlite: bool) -> sa.Executable:
    if is_sqlite:
        this = (
            open_attempts.c.request_id == sa.bindparam("request", type_=sa.Text),
            open_attempts.c.number == sa.bindparam("attempt", type_=sa.Integer),
        )
        return sa.delete(open_attempts).where(*this)
    # Core has no form of a VALUES list that can be made longer here.
    return sa.text("DELETE FROM open_attempts WHERE (request_id, number) IN (VALUES (:request, :attempt))")


def _orphans(is_sqlite: bool) -> sa.Select[Any]:
    mine = open_attempts.c.worker != sa.bindparam("but", type_=sa.Text)
    found = sa.select(open_attempts).where(mine).order_by(open_attempts.c.request_id, open_attempts.c.number)
    if not is_sqlite:
        alive = sa.select(workers.c.id).where(workers.c.heartbeat_ms >= sa.bindparam("alive", type_=sa.BigInteger))
        gone = open_attempts.c.worker == sa.bindparam("gone", type_=sa.Text)
        found = found.where(open_attempts.c.worker.not_in(alive) | gone)
    return found.limit(sa.bindparam("top", type_=sa.Integer))


def _spending(is_sqlite: bool) -> sa.Select[Any]:
    found = sa.select(balance_spending).where(balance_spending.c.balance_id == sa.bindparam("of", type_=sa.BigInteger))
    return found if is_sqlite else found.with_for_update()


def _replace_spending() -> sa.Update:
    """Takes what is to be there, but for the balance, then all of what is."""
    columns = balance_spending.c
    names = ("version", "charged_pico", "doubt_pico", "mac")
    this = [columns[name] == sa.bindparam(f"before_{name}", type_=columns[name].type) for name in names]
    mine = columns.balance_id == sa.bindparam("of", type_=sa.BigInteger)
    changes = {name: sa.bindparam(f"after_{name}", type_=columns[name].type) for name in names}
    return sa.update(balance_spending).where(mine, *this).values(changes)


def _last() -> sa.Select[Any]:
    of_request = attempts.c.request_id == sa.bindparam("request", type_=sa.Text)
    columns = (attempts.c.number, attempts.c.final, attempts.c.outcome)
    return sa.select(*columns).where(of_request).order_by(attempts.c.number.desc()).limit(1)


def _finish() -> sa.Update:
    this = sa.and_(
        attempts.c.request_id == sa.bindparam("request", type_=sa.Text),
        attempts.c.number == sa.bindparam("attempt", type_=sa.Integer),
    )
    return sa.update(attempts).where(this).values(final=1)


def _the_object() -> sa.ColumnElement[bool]:
    of_object, of_upstream = sa.bindparam("of_object", type_=sa.Text), sa.bindparam("of_upstream", type_=sa.Text)
    return (objects.c.object_id == of_object) & (objects.c.upstream == of_upstream)


def _paid_work() -> sa.Select[Any]:
    """What of an object outlives it."""
    return sa.select(objects.c.object_id, objects.c.upstream, objects.c.kind, objects.c.created_ms).where(_the_object())


def _settle_object() -> sa.Update:
    this = _the_object() & (objects.c.state == sa.literal_column("'pending'"))
    return sa.update(objects).where(this).values(state=sa.literal_column("'settled'"), due_ms=None)
