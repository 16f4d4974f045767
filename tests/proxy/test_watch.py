"""A worker takes changes over whether or not a request comes, and asks no more often than it must."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from keyvault.errors import Unavailable
from keyvault.home import Home
from keyvault.proxy.server import serving
from keyvault.proxy.tables import Tables
from keyvault.proxy.watch import LOOK_SECONDS
from keyvault.storage.epochs import Epochs
from tests.proxy.harness import new_home


class Counting:
    """Counts how often the epochs of a worker are read."""

    def __init__(self, home: Home, tables: Tables) -> None:
        self.home = home
        self.tables = tables
        self.reads = 0
        self._read = tables._reader.read
        tables._reader.read = self.read  # type: ignore[method-assign]

    def read(self) -> Epochs:
        self.reads += 1
        return self._read()


@pytest.fixture
async def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counting]:
    """What a worker that serves has in memory."""
    made: list[Tables] = []

    class Kept(Tables):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr("keyvault.proxy.worker.Tables", Kept)
    home = new_home(tmp_path / "home")
    async with serving(home, "127.0.0.1:0", "127.0.0.1:0"):
        yield Counting(home, made[0])
    home.close()


async def test_a_change_is_taken_over_though_no_request_comes(worker: Counting) -> None:
    before = worker.tables.seen
    worker.home.keys.create("late")
    async with asyncio.timeout(1.5):
        while worker.tables.seen == before:  # noqa: ASYNC110 - nothing tells of it but the tables
            await asyncio.sleep(LOOK_SECONDS / 5)


async def test_nobody_looks_beside_requests_that_look_all_along_and_what_they_see_is_told(worker: Counting) -> None:
    home, tables = worker.home, worker.tables
    requests = 0

    async def request() -> None:
        nonlocal requests
        tables.refresh()
        requests += 1
        await asyncio.sleep(LOOK_SECONDS / 10)

    await request()
    worker.reads = requests = 0
    for _ in range(100):
        await request()
    assert worker.reads - requests <= 3  # the machine may have stood still; of itself it looks at least ten times
    home.keys.create("late")
    epoch = home.workers.epochs()["keys"]
    async with asyncio.timeout(1.5):
        while not all(told.has_applied("keys", epoch) for told in home.workers.list()):
            await request()


async def test_a_change_that_cannot_be_read_is_told_though_requests_look_all_along(
    worker: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise Unavailable("the disk is gone")

    monkeypatch.setattr(worker.tables, "_read_again", broken)
    worker.home.keys.create("late")
    with capture_logs() as told:
        async with asyncio.timeout(10):
            while not any(line.get("reason") == "the disk is gone" for line in told):
                with contextlib.suppress(Unavailable):
                    worker.tables.refresh()
                await asyncio.sleep(LOOK_SECONDS / 10)
