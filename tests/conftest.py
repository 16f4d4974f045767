"""Shared fixtures: a clock that stands still, and each database the product runs on."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
import sqlalchemy as sa

from keyvault.clock import Clock
from keyvault.storage import migrations
from keyvault.storage.engine import Database
from opsconsole.cli.main import YOUNG_OBJECTS
from tests import postgresql
from tests.postgresql import Migrated

hypothesis.settings.register_profile("suite", max_examples=50, derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("suite")

MEMORY: Final = Path("/dev/shm")
ENOUGH: Final = 4 << 30
NOBODY: Final = Path(__file__).with_name("nobody.pem")


def pytest_configure() -> None:
    """Homes and servers of tests lie in memory where there is room: no test outlives a power cut, and a third of the
    suite's time went by in waiting for the disk. `TMPDIR` says otherwise.

    Nor does a test ask anybody beyond this machine: instead of the system's authorities, which take every new client
    twenty milliseconds to read, there is one that has signed nothing. `SSL_CERT_FILE` says otherwise."""
    os.environ.setdefault("SSL_CERT_FILE", str(NOBODY))
    if "TMPDIR" not in os.environ and MEMORY.is_dir():
        room = os.statvfs(MEMORY)
        if room.f_bavail * room.f_frsize > ENOUGH and not room.f_flag & os.ST_NOEXEC:
            os.environ["TMPDIR"] = str(MEMORY)
            tempfile.tempdir = None


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: somebody always waits, for a process, for cron or for a slow provider."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: no search for garbage need look at it, now or later. Searches are as rare as in a
    command, which takes a tenth off a test of the console."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    gc.enable()
    return result


class CompiledOnce(dict[Any, Any]):
    """Compiled statements, whichever of the test databases of a kind they were compiled for first."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


COMPILED: Final = CompiledOnce()


@sa.event.listens_for(sa.Engine, "engine_connect")
def _share_compiled(connection: sa.Connection) -> None:
    """Each test has databases of its own, and compiling the same statements for each took a seventh of its time."""
    connection.execution_options(compiled_cache=COMPILED)


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
    with postgresql.server() as uri:
        yield uri


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A fresh, empty PostgreSQL database."""
    with postgresql.empty_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """Gives the URL of a database that is as it was when it was migrated."""
    with contextlib.ExitStack() as stack:
        made: list[Migrated] = []

        def fresh() -> str:
            if not made or not made[-1].put_back():
                empty = stack.enter_context(postgresql.empty_database(postgresql_server))
                made.append(stack.enter_context(contextlib.closing(Migrated(empty))))
            return made[-1].url

        yield fresh


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
    if request.param == "sqlite":
        path = tmp_path / "gateway.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        url = f"sqlite:///{path}"
    else:
        url = request.getfixturevalue("migrated_postgresql")()
    database = Database(url)
    yield database
    database.close()
