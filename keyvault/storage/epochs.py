"""The change epoch: tells running proxies that something they hold in memory has changed.

`bump` belongs to the transaction of a change. A proxy reads `EpochReader.read` before each request: on SQLite that is
one look at the database (about 5 µs); on PostgreSQL a thread looks as soon as it is notified, and four times a second
in any case; a reading older than `STALE_AFTER_SECONDS` is refused, which bounds how long a change can go unseen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any, Final, Literal, Protocol

import sqlalchemy as sa

from keyvault.errors import Unavailable
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Database, Transaction, sqlite_module
from keyvault.storage.schema import audit, epochs

Aggregate = Literal["keys", "upstreams", "routes", "prices", "money"]
AGGREGATES: Final[tuple[Aggregate, ...]] = ("keys", "upstreams", "routes", "prices", "money")
Epochs = tuple[int, int, int, int, int]
"""The epochs of `AGGREGATES`, in that order."""

POLL_SECONDS: Final = 0.25
_CHANNEL: Final = "gwctl_epochs"
_SQL: Final = 'SELECT "keys", upstreams, routes, prices, money FROM epochs WHERE id = 1'
_NEWEST: Final = sa.select(sa.func.max(audit.c.seq)).scalar_subquery()
_DIGEST: Final = sa.select(audit.c.digest).where(audit.c.seq == _NEWEST).scalar_subquery()
_WITH_AUDIT: Final = Prepared(sa.select(*(epochs.c[name] for name in AGGREGATES), _NEWEST, _DIGEST))
STATEMENT_TIMEOUT_MS: Final = 2_000
BUSY_TIMEOUT_MS: Final = 200
"""A reader hardly ever waits on SQLite; where it must, every client of the process waits with it."""
STALE_AFTER_SECONDS: Final = 5.0


def bump(tx: Transaction, aggregate: Aggregate) -> int:
    """Grow the epoch of an aggregate within the transaction of the change; its new value."""
    column = epochs.c[aggregate]
    tx.execute(sa.update(epochs).where(epochs.c.id == 1).values({column: column + 1}))
    if tx.dialect.name == "postgresql":
        tx.exec_driver_sql(f"NOTIFY {_CHANNEL}")  # sent at the commit, once for all in a transaction
    return int(tx.execute(sa.select(column).where(epochs.c.id == 1)).scalar_one())


def current(tx: Transaction) -> Epochs:
    row = tx.exec_driver_sql(_SQL).one()
    return (row[0], row[1], row[2], row[3], row[4])


def with_newest_audited(tx: Transaction) -> tuple[Epochs, tuple[int | None, bytes | None]]:
    """The epochs, and what tells the newest entry of the audit log from all others: its number and its digest."""
    row = _WITH_AUDIT.first(tx, {})
    assert row is not None, "the epochs are a row that is always there"
    return (row[0], row[1], row[2], row[3], row[4]), (row[5], row[6])


class EpochReader(Protocol):
    """Reads the epochs cheaply, again and again, from one thread."""

    def read(self) -> Epochs:
        """The epochs now. Raises `Unavailable` where storage cannot tell."""
        ...

    def close(self) -> None: ...


def reader(database: Database, poll_seconds: float = POLL_SECONDS) -> EpochReader:
    return _SqliteReader(database) if database.is_sqlite else _NotifiedReader(database, poll_seconds)


class _SqliteReader:
    def __init__(self, database: Database) -> None:
        self._sqlite = sqlite_module()
        try:
            self._connection = database.connect(BUSY_TIMEOUT_MS)
        except self._sqlite.Error as error:
            raise Unavailable(f"database: {error}") from None
        self._execute = self._connection.cursor().execute

    def read(self) -> Epochs:
        try:
            found: Epochs = self._execute(_SQL).fetchone()
        except self._sqlite.Error as error:
            raise Unavailable(f"database: {error}") from None
        return found

    def close(self) -> None:
        self._connection.close()


class _NotifiedReader:
    def __init__(self, database: Database, poll_seconds: float) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        with database.read() as tx:
            self._epochs = current(tx)
        self._read_at = time.monotonic()
        self._error = database.engine.dialect.loaded_dbapi.Error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="epochs", daemon=True)
        self._thread.start()

    def read(self) -> Epochs:
        if time.monotonic() - self._read_at > STALE_AFTER_SECONDS:
            raise Unavailable("the database has not answered for a while")
        return self._epochs

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """Follow the database on a connection of its own; one that breaks is opened again, and the reading grows stale
        meanwhile, which `read` reports."""
        while not self._stop.is_set():
            with contextlib.suppress(Unavailable, self._error):
                connection = self._database.connect(STATEMENT_TIMEOUT_MS)
                with contextlib.closing(connection):
                    connection.autocommit = True
                    connection.execute(f"LISTEN {_CHANNEL}")
                    self._follow(connection)
            self._stop.wait(POLL_SECONDS)

    def _follow(self, connection: Any) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._epochs = connection.execute(_SQL).fetchone()
            self._read_at = began
            for _ in connection.notifies(timeout=self._poll_seconds, stop_after=1):
                pass
