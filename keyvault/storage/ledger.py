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
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa

from keyvault.errors import GatewayError, Unavailable
from keyvault.storage.adding import Amounts
from keyvault.storage.affinities import Made
from keyvault.storage.balances import Taken
from keyvault.storage.compiled import Query, Row
from keyvault.storage.engine import Database
from keyvault.storage.ledger_statements import USUAL, Statements, statements
from keyvault.storage.schema import aliases, open_attempts, targets
from keyvault.storage.turns import begin_immediate, is_locked

CHECKPOINT_PAGES: Final = 16_000
"""Size of SQLite's write-ahead log, 64 MB, at which a commit also moves it into the database file, for the log to begin
anew. Requests wait for that; `storage.checkpoints` leaves little of it to do."""

PATIENCE_MS: Final = 5_000
"""How long the ledger waits for a lock, or for a server to answer, before it says that it cannot be written."""
TURN_MS: Final = 2  # how often it asks SQLite meanwhile
_GRACE_SECONDS: Final = 0.5  # for a server that keeps to its patience itself; a frozen one does not


class BadEntry(GatewayError):
    """The database refused a row for what is in it."""

    code = "bad_ledger_entry"


class NotNow(GatewayError):
    """It would have to wait: somebody else writes at this moment, or there is no connection yet."""


class Transaction:
    """One transaction of the ledger; see `LedgerStore.transaction`."""

    def __init__(self, cursor: Any, statements: Statements) -> None:
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
        """Rows in the order of `attempts`' columns, with `NO_NUMBER` and `NO_TEXT` for NULL, some without all that is
        `SELDOM`; how many were new."""
        whole = [row for row in rows if len(row) != USUAL]
        usual = rows if not whole else [row for row in rows if len(row) == USUAL]
        made = self._statements.insert_usual.run(self._cursor, usual)
        return made + self._statements.insert_attempt.run(self._cursor, whole) if whole else made

    def forget(self, keys: Sequence[Row]) -> None:
        """Delete (request id, number) from the open attempts."""
        self._statements.delete_open.run(self._cursor, keys)

    def add_totals(self, minute: Sequence[Amounts], quarter: Sequence[Amounts], day: Sequence[Amounts]) -> None:
        """What to add to (bucket, key id, alias id, target id, project id), by `ADDED`; each once a table."""
        for adding, rows in zip(self._statements.totals, (minute, quarter, day), strict=True):
            adding.run(self._cursor, rows)

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
        values = [(row.balance_id, row.version, row.charged_pico, row.doubt_pico, _blob(row.mac)) for row in rows]
        self._statements.upsert_spending.run(self._cursor, values)

    def replace_spending(self, before: Taken, after: Taken) -> bool:
        """Put a balance's row in the place of another; False where that is not there as it was."""
        was = (before.balance_id, before.version, before.charged_pico, before.doubt_pico, _blob(before.mac))
        values = (after.version, after.charged_pico, after.doubt_pico, _blob(after.mac), *was)
        return self._statements.update_spending.run(self._cursor, (values,)) > 0

    def mark(self, worker: str) -> None:
        """Count one more transaction of this worker."""
        self._statements.changes.run(self._cursor, (((worker,), (1,)),))

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
        self._is_sqlite = database.is_sqlite
        self._connection: Any = None
        self._cursor: Any = None
        self._began: float | None = None
        driver = database.engine.dialect.loaded_dbapi
        self._bad: Final = (driver.DataError, driver.IntegrityError, OverflowError, UnicodeError)
        self._down: Final = (driver.Error, sa.exc.SQLAlchemyError, OSError)
        self.statements: Final = statements(database.is_sqlite)

    def transaction(self, *, wait: bool = True) -> contextlib.AbstractContextManager[Transaction]:
        """Commits at the end of the block, rolls back when it raises. `wait`: for others who write. Who will not, on
        SQLite, gets `NotNow` instead."""
        return _Block(self, self._patience_ms if wait else 0)

    def begin(self, patience_ms: int) -> Transaction:
        """For `transaction`, as are the next two."""
        if self._connection is None:
            self._connect(patience_ms)
        self._began = time.monotonic()
        if self._is_sqlite:
            self._begin_writing(patience_ms)
        return Transaction(self._cursor, self.statements)

    def commit(self) -> None:
        self._cursor.execute("COMMIT") if self._is_sqlite else self._connection.commit()
        self._began = None

    def undo(self, error: BaseException) -> GatewayError | None:
        """Undo a transaction that an error ended; what is raised in its place, if anything."""
        self._began = None
        if isinstance(error, NotNow):
            return None
        if isinstance(error, self._bad):
            self._roll_back()
            return BadEntry(f"the ledger refused an entry: {type(error).__name__}")
        if isinstance(error, self._down):
            self.close()
            reason = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
            return Unavailable(f"ledger: {reason[0]}", hint="gwctl doctor")
        self._roll_back()
        return None

    def interrupt_if_late(self) -> None:
        """Break the connection of a transaction that a PostgreSQL server has left without an answer for too long.

        The only method for another thread than the store's own.
        """
        began, connection = self._began, self._connection
        if began is None or connection is None or self._is_sqlite:
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

    def _connect(self, patience_ms: int) -> None:
        if not patience_ms:
            raise NotNow("not connected")
        self._connection = self._database.connect(self._patience_ms)
        if self._is_sqlite:
            # No busy timeout: only `begin_immediate` waits, what holds the write lock needs no other.
            self._connection.executescript(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}; PRAGMA busy_timeout=0")
        self._cursor = self._connection.cursor()

    def _begin_writing(self, patience_ms: int) -> None:
        """Take SQLite's lock: nearly always at once."""
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except self._connection.OperationalError as error:
            if not is_locked(error):
                raise
            if not patience_ms:
                raise NotNow("somebody else writes to the database") from None
            begin_immediate(self._connection, patience_ms, TURN_MS)

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except self._down:
            self.close()


class _Block:
    """A block in one transaction."""

    __slots__ = ("_patience_ms", "_store")

    def __init__(self, store: LedgerStore, patience_ms: int) -> None:
        self._store = store
        self._patience_ms = patience_ms

    def __enter__(self) -> Transaction:
        try:
            return self._store.begin(self._patience_ms)
        except BaseException as error:
            self._undo(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._undo(error)
            return
        try:
            self._store.commit()
        except BaseException as failed:
            self._undo(failed)
            raise

    def _undo(self, error: BaseException) -> None:
        instead = self._store.undo(error)
        if instead is not None:
            raise instead from None


def known_names(database: Database) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """The interned aliases and targets with their ids."""
    with database.read() as tx:
        named = {row.name: row.id for row in tx.execute(sa.select(aliases))}
        pairs = {(row.upstream, row.model): row.id for row in tx.execute(sa.select(targets))}
    return named, pairs


def _blob(mac: bytes | None) -> bytearray | None:
    """sqlite3 looks for an adapter of `bytes`, which takes longer than all else of the row; of a `bytearray` it does
    not."""
    return None if mac is None else bytearray(mac)
