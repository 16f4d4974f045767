"""Opens the database and its transactions, SQLite or PostgreSQL, the same way for everyone.

SQLite: write-ahead log, `secure_delete`, files 0600, a build without the WAL-reset bug preferred; a write transaction
begins IMMEDIATE, so two writers wait for each other instead of failing half-way, and asks often whether it is its turn.
PostgreSQL: `postgresql://` URLs with psycopg 3; administrative writers wait for each other on an advisory lock (the
ledger's writer does not take it). No statement takes longer than half a minute there, and a server that cannot be
reached is noticed within seconds.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy import event, exc

from keyvault.errors import ConfigurationError, Damaged, Unavailable
from keyvault.storage.postgresql import STATEMENT_TIMEOUT_MS, connect_options
from keyvault.storage.turns import begin_immediate

Transaction = sa.Connection
Row = sa.Row[Any]
"""A row as it lies there."""

Touched = dict[tuple[str, int | str], Any]
"""Table name and id of what a transaction changes → what it was before, None for what is new."""


class Sealer(Protocol):
    """Vouches for rows that a transaction changes; see `keyvault.storage.seals`."""

    def open(self) -> None:
        """Open what is needed to vouch, before a transaction begins. Raises `Locked`."""
        ...

    def seal(self, tx: Transaction, touched: Touched) -> None:
        """At the end of a write transaction: check what rows were, seal what they are, and the audit entries made.

        Raises `Tampered` for a row that had been changed by something else, `Locked` where a row gives access and the
        vault is not open.
        """
        ...

    def committed(self) -> None:
        """After the commit of a transaction that was sealed."""
        ...


BUSY_TIMEOUT_MS: Final = 10_000
"""How long one waits on SQLite for others, where nothing else is said."""
STATEMENTS_KEPT: Final = 16
"""How many statements a pooled connection to SQLite keeps prepared. The driver's own 128 are half a megabyte, most
of it for what a worker has asked once, at its start."""
TURN_MS: Final = 10
"""How often a writer on SQLite asks whether it is its turn; the ledger's asks more often, for requests wait for it."""
_WRITERS_LOCK: Final = 0x67776374
RESTORE: Final = "stop gwctl serve, put the file aside and restore a backup"


def sqlite_module() -> ModuleType:
    """The best SQLite driver here: pysqlite3 where installed (a current build), else the standard library's."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        import sqlite3

        return sqlite3
    return dbapi2  # type: ignore[no-any-return]


def sqlite_is_sound(version: tuple[int, ...]) -> bool:
    """Whether a SQLite build lacks the WAL-reset corruption bug (fixed in 3.51.3, 3.50.7 and 3.44.6)."""
    return version >= (3, 51, 3) or version[:3] in ((3, 50, 7), (3, 44, 6))


def sqlite_path(url: str) -> Path | None:
    """The file of a `sqlite:///…` URL, None for another database."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


class Database:
    """A database that transactions can be opened on. Threads may share it."""

    def __init__(self, url: str, *, durability: str = "process", busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> None:
        """`durability`: `process` survives any crash of the process, `power` also a power cut (slower).
        `busy_timeout_ms`: how long one waits on SQLite while others keep the file to themselves."""
        self.url = url
        self.path = sqlite_path(url)
        self.durability = durability
        self.busy_timeout_ms = busy_timeout_ms
        self.rehearsal = False
        """Write transactions do everything and then roll back: a preview that meets every check and every error."""
        self.sealer: Callable[[], Sealer] | None = None
        """Gives what vouches for the rows that matter, which who only reads has no need of; None where there is no
        vault, as in many tests."""
        self.command = ""
        """What is being done, such as `gwctl keys rotate`; the audit entries of write transactions tell it."""
        if self.path is not None:
            self.engine = self._sqlite_engine()
        elif url.startswith(("postgresql://", "postgresql+psycopg://")):
            self.engine = self._postgresql_engine()
        else:
            raise ConfigurationError(
                f"database url not understood: {url.split('://')[0][:20]!r}…",
                hint="sqlite:///PATH or postgresql://USER@HOST/NAME",
            )

    @property
    def is_sqlite(self) -> bool:
        return self.path is not None

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """A transaction that only reads; what it reads is one consistent snapshot on SQLite."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """A transaction that only reads, all of it from one consistent snapshot, on either database."""
        with self._translated(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """A transaction that commits at the end of the block and rolls back when it raises."""
        with self._translated(), self.engine.connect() as connection:
            touched: Touched | None = None if self.sealer is None else {}
            connection.execution_options(gw_write=True, gw_touched=touched, gw_command=self.command)
            with connection.begin() as transaction:
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")
                yield connection
                if touched and self.sealer is not None:
                    self.sealer().seal(connection, touched)
                if self.rehearsal:
                    transaction.rollback()
        if touched and self.sealer is not None and not self.rehearsal:
            self.sealer().committed()

    @contextlib.contextmanager
    def change(self) -> Iterator[Transaction]:
        """A write transaction that may give access or decide about money: opens what vouches for it first.

        What only takes access away uses `write`, which works while the vault is locked.
        """
        if self.sealer is not None:
            self.sealer().open()
        with self.write() as tx:
            yield tx

    @contextlib.contextmanager
    def rehearsing(self) -> Iterator[None]:
        """A block whose write transactions keep nothing. For one thread that has the database for itself."""
        before, self.rehearsal = self.rehearsal, True
        try:
            yield
        finally:
            self.rehearsal = before

    def connect(self, timeout_ms: int) -> Any:
        """A driver's connection of its own, outside the pool, on which nothing waits longer for a lock."""
        if self.path is not None:
            found = sqlite_module().connect(
                str(self.path), isolation_level=None, timeout=timeout_ms / 1000, check_same_thread=False
            )
            configure_sqlite(found, self.durability, timeout_ms)
            return found
        arguments, options = self.engine.dialect.create_connect_args(self.engine.url)
        options.update(connect_options(self.engine.url, timeout_ms))
        return self.engine.dialect.connect(*arguments, **options)

    def sync(self) -> None:
        """See that what is committed survives a power cut too, whatever the durability; PostgreSQL does so by itself.
        Raises `Unavailable`."""
        if self.path is None:
            return
        try:
            # Not the database's own file: closing that would drop the locks this process has on it.
            descriptor = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise Unavailable(f"database: {error.strerror}", hint="gwctl doctor") from None
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def advisory_lock(self, name: str) -> Iterator[bool]:
        """Try to hold a PostgreSQL session lock while the block runs; yields whether it is held."""
        number = zlib.crc32(f"gwctl/{name}".encode())
        with contextlib.ExitStack() as stack:
            with self._translated():
                connection = stack.enter_context(self.engine.connect())
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.detach()  # closed at the end, not put back: the lock is the session's
                locked = connection.execute(sa.text("SELECT pg_try_advisory_lock(:n)"), {"n": number}).scalar_one()
            yield bool(locked)

    def close(self) -> None:
        self.engine.dispose()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """A block in which what SQLAlchemy raises becomes an error of ours."""
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError) as error:
            reason = str(error.orig).strip().splitlines()[0] if error.orig else "no connection"
            raise Unavailable(f"database: {reason}", hint="gwctl doctor") from None
        except exc.TimeoutError:
            raise Unavailable("database: all connections are busy", hint="gwctl doctor") from None
        except exc.DatabaseError as error:
            if self.is_sqlite and "file is not a database" in str(error.orig):
                raise ConfigurationError(f"not a database: {self.path}", hint=RESTORE) from None
            if self.is_sqlite and "malformed" in str(error.orig):
                raise Damaged(f"{self.path} is damaged: {error.orig}", hint=RESTORE) from None
            raise

    def _sqlite_engine(self) -> sa.Engine:
        assert self.path is not None
        if not self.path.exists():
            descriptor = os.open(self.path, os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            module=sqlite_module(),
            hide_parameters=True,
            poolclass=sa.pool.QueuePool,
            connect_args={
                "isolation_level": None,
                "timeout": self.busy_timeout_ms / 1000,
                "check_same_thread": False,
                "cached_statements": STATEMENTS_KEPT,
            },
        )
        event.listen(engine, "connect", self._on_sqlite_connect)
        event.listen(engine, "begin", self._on_sqlite_begin)
        return engine

    def _on_sqlite_connect(self, connection: Any, _record: Any) -> None:
        configure_sqlite(connection, self.durability, self.busy_timeout_ms)

    def _on_sqlite_begin(self, connection: sa.Connection) -> None:
        if not connection.get_execution_options().get("gw_write"):
            connection.exec_driver_sql("BEGIN")
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA busy_timeout=0")
        try:
            # asking through SQLAlchemy takes many times as long
            begin_immediate(driver, self.busy_timeout_ms, TURN_MS)
        except driver.OperationalError as error:
            raise exc.OperationalError("BEGIN IMMEDIATE", None, error) from None
        finally:
            driver.execute(f"PRAGMA busy_timeout={self.busy_timeout_ms}")

    def _postgresql_engine(self) -> sa.Engine:
        url = sa.make_url(self.url).set(drivername="postgresql+psycopg")
        try:
            return sa.create_engine(
                url,
                hide_parameters=True,
                pool_pre_ping=True,
                connect_args=connect_options(url, STATEMENT_TIMEOUT_MS),
            )
        except ModuleNotFoundError:
            raise ConfigurationError(
                "PostgreSQL needs a driver that is not installed", hint="pip install 'opsconsole[postgres]'"
            ) from None


def configure_sqlite(connection: Any, durability: str, busy_timeout_ms: int) -> None:
    """Put one raw SQLite connection into the mode all of them share."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={busy_timeout_ms}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA synchronous={'FULL' if durability == 'power' else 'NORMAL'}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def touched_rows(tx: Transaction) -> Touched | None:
    """What a write transaction has touched so far; None where nobody seals."""
    touched: Touched | None = tx.get_execution_options().get("gw_touched")
    return touched
