"""The ledger's statements: attempts, their totals and interned names, written in batches on the driver itself.

Statements are made with SQLAlchemy Core and compiled once, for one row; more rows repeat the group of values, so that
a batch takes a handful of calls whatever its size. A `LedgerStore` has one connection and belongs to one thread at a
time. Whatever keeps the database from answering is raised as `Unavailable`, after which the store connects anew; what
is wrong with the data alone is raised as `BadEntry`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any, Final

import sqlalchemy as sa

from keyvault.errors import GatewayError, Unavailable
from keyvault.storage.affinities import Made
from keyvault.storage.balances import Taken
from keyvault.storage.compiled import Query, Row, Statement, insert_into, positional_dialect
from keyvault.storage.engine import Database
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
from keyvault.storage.turns import begin_immediate, is_locked

NO_NUMBER: Final = -1
NO_TEXT: Final = ""
"""What stands for NULL in rows handed to `open` and `settle`."""

CHECKPOINT_PAGES: Final = 16_000
"""Size of SQLite's write-ahead log, 64 MB, at which a commit also moves it into the database file, for the log to begin
anew. Requests wait for that; `storage.checkpoints` leaves little of it to do."""

PATIENCE_MS: Final = 5_000
"""How long the ledger waits for a lock, or for a server to answer, before it says that it cannot be written."""
TURN_MS: Final = 2  # how often it asks SQLite meanwhile
_GRACE_SECONDS: Final = 0.5  # for a server that keeps to its patience itself; a frozen one does not

# Core writes a VALUES list in a form that SQLite does not read here.
_DELETE_OPEN: Final = sa.text("DELETE FROM open_attempts WHERE (request_id, number) IN (VALUES (:request, :attempt))")


class BadEntry(GatewayError):
    """The database refused a row for what is in it."""

    code = "bad_ledger_entry"


class NotNow(GatewayError):
    """It would have to wait: somebody else writes at this moment, or there is no connection yet."""


class Transaction:
    """One transaction of the ledger; see `LedgerStore.transaction`."""

    def __init__(self, cursor: Any, statements: _Statements) -> None:
        self._cursor = cursor
        self._statements = statements

    def add_names(self, alias_rows: Sequence[Row], target_rows: Sequence[Row]) -> None:
        """(id, name) and (id, upstream, model); those that exist are left alone."""
        self._statements.insert_alias.run(self._cursor, alias_rows)
        self._statements.insert_target.run(self._cursor, target_rows)

    def note_makers(self, made: Sequence[Made]) -> None:
        """Who made which conversation state, no digest twice; the newest word counts."""
        self._statements.upsert_affinity.run(self._cursor, made)

    def open(self, rows: Sequence[Row]) -> None:
        """Rows in the order of `open_attempts`' columns, with `NO_NUMBER` for NULL."""
        self._statements.insert_open.run(self._cursor, rows)

    def draw(self, rows: Sequence[Row]) -> None:
        """(rollout id, request id, arm, unit or `NO_NUMBER`); those that exist are left alone."""
        self._statements.insert_drawn.run(self._cursor, rows)

    def has_purse(self, worker: str) -> bool:
        """Whether a worker may spend from hard accounts; if so, nobody else may before the transaction ends."""
        found = self._all(self._statements.select_purse, {})
        return bool(found) and found[0][0] == worker

    def settle(self, rows: Sequence[Row]) -> int:
        """Rows in the order of `attempts`' columns, with `NO_NUMBER` and `NO_TEXT` for NULL; how many were new."""
        return self._statements.insert_attempt.run(self._cursor, rows)

    def forget(self, keys: Sequence[Row]) -> None:
        """Delete (request id, number) from the open attempts."""
        self._statements.delete_open.run(self._cursor, keys)

    def add_totals(self, minute: Sequence[Row], quarter: Sequence[Row], day: Sequence[Row]) -> None:
        """Rows of (bucket, key id, alias id, target id, project id, *SUMS), no two of a table with the same ids."""
        for upsert, rows in zip(self._statements.upsert_totals, (minute, quarter, day), strict=True):
            upsert.run(self._cursor, rows)

    def settle_object(self, object_id: str, upstream: str) -> bool:
        """Say of pending work at a provider that it is booked; False where it is not pending."""
        of = {"of_object": object_id, "of_upstream": upstream}
        self._statements.update_object.run(self._cursor, of)
        if not self._cursor.rowcount:
            return False
        self._statements.insert_work.run(self._cursor, of)
        return True

    def spending(self, balance_ids: Sequence[int]) -> list[Taken]:
        """What was taken from balances so far; nobody else changes it before the transaction ends."""
        found = [row for each in balance_ids for row in self._all(self._statements.select_spending, {"of": each})]
        return [Taken(row[0], row[1], row[2], row[3], None if row[4] is None else bytes(row[4])) for row in found]

    def set_spending(self, rows: Sequence[Taken]) -> None:
        values = [(row.balance_id, row.version, row.charged_pico, row.doubt_pico, row.mac) for row in rows]
        self._statements.upsert_spending.run(self._cursor, values)

    def mark(self, worker: str) -> None:
        """Count one more transaction of this worker."""
        self._statements.upsert_change.run(self._cursor, ((worker, 1),))

    def orphans(self, limit: int, alive_since_ms: int, but_of: str, gone: str | None = None) -> list[dict[str, Any]]:
        """Open attempts of dead workers and of one taken for `gone`, oldest first, by the table's columns.

        On SQLite only one process serves, so every other worker is dead. On PostgreSQL one that has beaten since
        `alive_since_ms` is alive.
        """
        values = {"but": but_of, "alive": alive_since_ms, "gone": gone or "", "top": limit}
        names = open_attempts.columns.keys()
        return [dict(zip(names, row, strict=True)) for row in self._all(self._statements.select_orphans, values)]

    def settled_last(self, request_id: str) -> Row | None:
        """(number, final, outcome) of the last settled attempt of a request."""
        found = self._all(self._statements.select_last, {"request": request_id})
        return found[0] if found else None

    def finish(self, request_id: str, number: int) -> None:
        """Say of a settled attempt that no other followed."""
        self._statements.update_final.run(self._cursor, {"request": request_id, "attempt": number})

    def drop_minutes(self, before: int, at_most: int) -> bool:
        """Delete minute totals older than a minute, some at a time; whether there may be more."""
        oldest = self._all(self._statements.select_oldest, {})[0][0]
        if oldest is None or oldest >= before:
            return False
        self._statements.delete_minutes.run(self._cursor, {"before": min(before, oldest + at_most)})
        return bool(oldest + at_most < before)

    def _all(self, query: Query, values: dict[str, Any]) -> list[Row]:
        query.run(self._cursor, values)
        rows: list[Row] = self._cursor.fetchall()
        return rows


class LedgerStore:
    """The ledger's own connection, opened when first needed and again after a failure."""

    def __init__(self, database: Database, patience_ms: int = PATIENCE_MS) -> None:
        self._database = database
        self._patience_ms = patience_ms
        self._connection: Any = None
        self._began: float | None = None
        driver = database.engine.dialect.loaded_dbapi
        self._bad: Final = (driver.DataError, driver.IntegrityError, OverflowError, UnicodeError)
        self._down: Final = (driver.Error, sa.exc.SQLAlchemyError, OSError)
        self.statements: Final = _statements(database.is_sqlite)

    @contextlib.contextmanager
    def transaction(self, *, wait: bool = True) -> Iterator[Transaction]:
        """Commits at the end of the block, rolls back when it raises. `wait`: for others who write. Who will not, on
        SQLite, gets `NotNow` instead."""
        try:
            cursor = self._begin(self._patience_ms if wait else 0)
            yield Transaction(cursor, self.statements)
            self._connection.commit() if not self._database.is_sqlite else cursor.execute("COMMIT")
        except NotNow:
            raise
        except self._bad as error:
            self._roll_back()
            raise BadEntry(f"the ledger refused an entry: {type(error).__name__}") from None
        except self._down as error:
            self.close()
            reason = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
            raise Unavailable(f"ledger: {reason[0]}", hint="gwctl doctor") from None
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._began = None

    def interrupt_if_late(self) -> None:
        """Break the connection of a transaction that a PostgreSQL server has left without an answer for too long.

        The only method for another thread than the store's own.
        """
        began, connection = self._began, self._connection
        if began is None or connection is None or self._database.is_sqlite:
            return
        if time.monotonic() - began > self._patience_ms / 1000 + _GRACE_SECONDS:
            with contextlib.suppress(*self._down), socket.socket(fileno=os.dup(connection.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the connection up; what was not committed is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*self._down):  # it may be dead already, which is all that is wanted
                connection.close()

    def _begin(self, patience_ms: int) -> Any:
        if self._connection is None:
            if not patience_ms:
                raise NotNow("not connected")
            self._connection = self._database.connect(self._patience_ms)
            if self._database.is_sqlite:
                # No busy timeout: only `begin_immediate` waits, what holds the write lock needs no other.
                self._connection.executescript(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}; PRAGMA busy_timeout=0")
        self._began = time.monotonic()
        if self._database.is_sqlite:
            try:
                begin_immediate(self._connection, patience_ms, TURN_MS)
            except self._connection.OperationalError as error:
                if not patience_ms and is_locked(error):
                    raise NotNow("somebody else writes to the database") from None
                raise
        return self._connection.cursor()

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except self._down:
            self.close()


class _Statements:
    """All statements of the ledger for one kind of database."""

    def __init__(self, is_sqlite: bool) -> None:
        dialect = positional_dialect(is_sqlite)
        insert = partial(insert_into, is_sqlite=is_sqlite)
        self.insert_alias = Statement(insert(aliases).on_conflict_do_nothing(), dialect)
        self.insert_target = Statement(insert(targets).on_conflict_do_nothing(), dialect)
        made = insert(affinities).values({c.name: sa.bindparam(c.name) for c in affinities.c})
        newer = {name: made.excluded[name] for name in ("target_id", "at_ms")}
        self.upsert_affinity = Statement(made.on_conflict_do_update(index_elements=["digest"], set_=newer), dialect)
        self.insert_open = Statement(insert(open_attempts).values(_values(open_attempts)), dialect)
        drawn = insert(rollout_requests).values(_values(rollout_requests)).on_conflict_do_nothing()
        self.insert_drawn = Statement(drawn, dialect)
        settled = insert(attempts).values(_values(attempts)).on_conflict_do_nothing()
        self.insert_attempt = Statement(settled, dialect)
        self.delete_open = Statement(_DELETE_OPEN, dialect)
        tables = (totals_minute, totals_quarter, totals_day)
        self.upsert_totals = [Statement(_adding(insert(table), table, SUMS), dialect) for table in tables]
        self.upsert_change = Statement(_adding(insert(ledger_changes), ledger_changes, ("changes",)), dialect)
        taken = insert(balance_spending).values({c.name: sa.bindparam(c.name) for c in balance_spending.c})
        changes = {name: taken.excluded[name] for name in ("version", "charged_pico", "doubt_pico", "mac")}
        taken = taken.on_conflict_do_update(index_elements=["balance_id"], set_=changes)
        self.upsert_spending = Statement(taken, dialect)
        holder = sa.select(purse.c.worker).where(purse.c.id == sa.literal_column("1"))
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
def _statements(is_sqlite: bool) -> _Statements:
    """Compiled once in a process: it takes a tenth of a second."""
    return _Statements(is_sqlite)


def known_names(database: Database) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """The interned aliases and targets with their ids."""
    with database.read() as tx:
        named = {row.name: row.id for row in tx.execute(sa.select(aliases))}
        pairs = {(row.upstream, row.model): row.id for row in tx.execute(sa.select(targets))}
    return named, pairs


def _values(table: sa.Table) -> dict[str, sa.ColumnElement[Any]]:
    """A parameter for each column, taking `NO_NUMBER` or `NO_TEXT` for NULL where a column may be NULL.

    sqlite3 takes 1 µs to bind a None and 0.03 µs to bind a number, and most of a row's columns are NULL.
    """
    values: dict[str, sa.ColumnElement[Any]] = {}
    for column in table.columns:
        nothing = NO_TEXT if isinstance(column.type, sa.Text) else NO_NUMBER
        value = sa.bindparam(column.name, type_=column.type)
        absent = sa.literal_column(repr(nothing), column.type)
        values[column.name] = sa.func.nullif(value, absent) if column.nullable else value
    return values


def _adding(insert: Any, table: sa.Table, names: Sequence[str]) -> sa.Executable:
    """Insert a row, or add the named columns to the row that is there."""
    adding = {name: table.c[name] + insert.excluded[name] for name in names}
    statement: sa.Executable = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=adding)
    return statement


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
