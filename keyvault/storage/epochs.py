"""The change epoch: tells running proxies that something they hold in memory has changed.

`bump` belongs to the transaction of a change. A proxy reads `EpochReader.read` before each request: on SQLite that is
one look at the database (about 5 µs); on PostgreSQL a thread looks four times a second and a reading older than
`STALE_AFTER_SECONDS` is refused, which bounds how long a change can go unseen.
"""

from __future__ import annotations

import threading
import time
from typing import Final, Literal, Protocol

import sqlalchemy as sa

from keyvault.errors import Unavailable
from keyvault.storage.engine import Database, Transaction, sqlite_module
from keyvault.storage.schema import epochs

Aggregate = Literal["keys", "upstreams", "routes", "prices"]
AGGREGATES: Final[tuple[Aggregate, ...]] = ("keys", "upstreams", "routes", "prices")
Epochs = tuple[int, int, int, int]
"""The epochs of `AGGREGATES`, in that order."""

POLL_SECONDS: Final = 0.25
BUSY_TIMEOUT_MS: Final = 200
"""A reader hardly ever waits on SQLite; where it must, every client of the process waits with it."""
STALE_AFTER_SECONDS: Final = 5.0


def bump(tx: Transaction, aggregate: Aggregate) -> int:
    """Grow the epoch of an aggregate within the transaction of the change; its new value."""
    column = epochs.c[aggregate]
    tx.execute(sa.update(epochs).where(epochs.c.id == 1).values({column: column + 1}))
    return int(tx.execute(sa.select(column).where(epochs.c.id == 1)).scalar_one())


def current(tx: Transaction) -> Epochs:
    row = tx.execute(sa.select(epochs.c["keys"], epochs.c.upstreams, epochs.c.routes, epochs.c.prices)).one()
    return (row[0], row[1], row[2], row[3])


class EpochReader(Protocol):
    """Reads the epochs cheaply, again and again, from one thread."""

    def read(self) -> Epochs:
        """The epochs now. Raises `Unavailable` where storage cannot tell."""
        ...

    def close(self) -> None: ...


def reader(database: Database) -> EpochReader:
    return _SqliteReader(database) if database.is_sqlite else _PollingReader(database)


class _SqliteReader:
    _SQL: Final = 'SELECT "keys", upstreams, routes, prices FROM epochs WHERE id = 1'

    def __init__(self, database: Database) -> None:
        self._sqlite = sqlite_module()
        try:
            self._connection = database.connect(BUSY_TIMEOUT_MS)
        except self._sqlite.Error as error:
            raise Unavailable(f"database: {error}") from None
        self._execute = self._connection.execute

    def read(self) -> Epochs:
        try:
            found: Epochs = self._execute(self._SQL).fetchone()
        except self._sqlite.Error as error:
            raise Unavailable(f"database: {error}") from None
        return found

    def close(self) -> None:
        self._connection.close()


class _PollingReader:
    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as tx:
            self._epochs = current(tx)
        self._read_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="epochs", daemon=True)
        self._thread.start()

    def read(self) -> Epochs:
        if time.monotonic() - self._read_at > STALE_AFTER_SECONDS:
            raise Unavailable("the database has not answered for a while")
        return self._epochs

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            began = time.monotonic()
            try:
                with self._database.read() as tx:
                    self._epochs = current(tx)
            except Unavailable:
                continue  # the reading grows stale, which `read` reports
            self._read_at = began
