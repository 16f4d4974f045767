"""Whose thread writes the ledger: the loop's own while that takes a moment, another where it would have to wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from keyvault.errors import Unavailable
from keyvault.metering.ledger import MOST_TURNS, Ledger
from keyvault.metering.writer import LONG_SECONDS, REST_SECONDS
from keyvault.storage import migrations
from keyvault.storage.engine import Database, sqlite_module
from keyvault.storage.ledger import LedgerStore, Transaction
from tests.conftest import FrozenClock
from tests.ledgers import attempt, book, open_rows, rows, settlement


class Watched(LedgerStore):
    """Notes which thread has made which transaction, and can be made slow or fail."""

    def __init__(self, database: Database, clock: FrozenClock) -> None:
        super().__init__(database)
        self._clock = clock
        self.by_loop: list[bool] = []
        self.slow = False
        self.defective = False

    @contextlib.contextmanager
    def transaction(self, *, wait: bool = True) -> Iterator[Transaction]:
        if self.defective:
            raise RuntimeError("a defect")
        with super().transaction(wait=wait) as tx:
            yield tx
            if self.slow:
                self._clock.advance(seconds=2 * LONG_SECONDS)
        self.by_loop.append(threading.current_thread() is threading.main_thread())


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    migrations.upgrade(database)
    yield database
    database.close()


async def turn_given_up() -> None:
    """The thread answers just before it gives up its turn."""
    await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(database: Database, clock: FrozenClock) -> AsyncIterator[tuple[Ledger, Watched]]:
    """A ledger that has connected: that may take long, so the thread does it."""
    store = Watched(database, clock)
    ledger = Ledger(database, clock, "w1", store)
    ledger.start(asyncio.get_running_loop())
    try:
        await ledger.open(attempt(clock.now_ms(), entropy=999))
        assert store.by_loop.pop() is False
        await turn_given_up()
        yield ledger, store
    finally:
        await asyncio.to_thread(ledger.stop)


async def test_the_loop_writes_by_itself_all_that_one_turn_has_put(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, store):
        many = [attempt(clock.now_ms(), entropy=n) for n in range(20)]
        await asyncio.gather(*(ledger.open(one) for one in many))
        await asyncio.gather(*(ledger.settle(settlement(one)) for one in many))
        assert store.by_loop == [True, True]
    assert len(rows(file)) == 20


async def test_while_each_turn_brings_more_some_turns_share_a_transaction(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, store):
        waiting = []
        for n in range(60):  # two in each turn, as of two clients
            waiting.append(ledger.open(attempt(clock.now_ms(), entropy=n)))
            if n % 2:
                await asyncio.sleep(0)
        done_meanwhile = sum(one.done() for one in waiting)
        await asyncio.gather(*waiting)
        assert 30 / (MOST_TURNS + 2) <= len(store.by_loop) <= 30 / MOST_TURNS
        assert done_meanwhile >= 60 - 2 * (MOST_TURNS + 2)


async def test_who_is_alone_does_not_wait_for_more(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, _):
        alone = ledger.open(attempt(clock.now_ms()))
        await asyncio.sleep(0)
        assert alone.done()


async def test_more_than_fits_one_transaction_is_left_to_the_thread(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, store):
        await asyncio.gather(*(ledger.open(attempt(clock.now_ms(), entropy=n)) for n in range(600)))
        assert store.by_loop[0] is True
        assert False in store.by_loop
    assert len(open_rows(file)) == 601


async def test_who_waits_for_a_lock_does_not_hold_up_the_loop(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, store):
        with contextlib.closing(sqlite_module().connect(str(file.path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = ledger.open(attempt(clock.now_ms()))
            for _ in range(20):
                await asyncio.sleep(0.005)
            assert not waiting.done()
            assert store.by_loop == []
            other.execute("ROLLBACK")
            await waiting
        assert store.by_loop == [False]
        await turn_given_up()
        await book(ledger, attempt(clock.now_ms(), entropy=1))
        assert store.by_loop[-1] is True


async def test_after_a_long_transaction_the_thread_writes_for_a_while(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, store):
        store.slow = True
        await ledger.open(attempt(clock.now_ms(), entropy=1))
        store.slow = False
        await ledger.open(attempt(clock.now_ms(), entropy=2))
        clock.advance(seconds=REST_SECONDS)
        await turn_given_up()
        await ledger.open(attempt(clock.now_ms(), entropy=3))
        assert store.by_loop == [True, False, True]


async def test_commits_that_wait_for_the_disk_are_the_threads(clock: FrozenClock, file: Database) -> None:
    lasting = Database(str(file.engine.url), durability="power")
    async with running(lasting, clock) as (ledger, store):
        await book(ledger, attempt(clock.now_ms()))
        assert store.by_loop == [False, False]
    lasting.close()


async def test_an_entry_that_is_settled_already_is_the_threads_and_costs_the_others_nothing(
    clock: FrozenClock, file: Database
) -> None:
    async with running(file, clock) as (ledger, store):
        one, two = attempt(clock.now_ms(), entropy=1), attempt(clock.now_ms(), entropy=2)
        await asyncio.gather(ledger.open(one), ledger.open(two))
        with file.write() as tx:
            tx.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON attempts WHEN new.number = 1 AND "
                f"new.request_id = '{one.request_id}' BEGIN SELECT raise(ABORT, 'no'); END"
            )
        said = await asyncio.gather(
            ledger.settle(settlement(one)), ledger.settle(settlement(two)), return_exceptions=True
        )
        assert [type(each).__name__ for each in said] == ["BadEntry", "NoneType"]
        assert store.by_loop[1:] == [False]
    assert [row.request_id for row in rows(file)] == [two.request_id]


async def test_a_defect_leaves_nobody_waiting(
    clock: FrozenClock, file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread meets it too, ends, and says so."""
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    async with running(file, clock) as (ledger, store):
        store.defective = True
        async with asyncio.timeout(20):
            with pytest.raises(Unavailable):
                await ledger.open(attempt(clock.now_ms()))
        assert not ledger.healthy
    assert len(told) == 2


async def test_nothing_is_left_behind_by_a_stop(clock: FrozenClock, file: Database) -> None:
    async with running(file, clock) as (ledger, _):
        waiting = [ledger.open(attempt(clock.now_ms(), entropy=n)) for n in range(20)]
        await asyncio.to_thread(ledger.stop)
        await asyncio.gather(*waiting)
    assert len(open_rows(file)) == 21
