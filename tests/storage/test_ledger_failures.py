"""The ledger while the database is down and after it came back: told at once, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from keyvault.clock import Clock
from keyvault.domain.ledger import Outcome
from keyvault.errors import Unavailable
from keyvault.metering.ledger import Ledger
from keyvault.storage import epochs, migrations
from keyvault.storage.engine import Database, sqlite_module
from keyvault.storage.ledger import LedgerStore, Transaction
from keyvault.storage.turns import begin_immediate
from tests.conftest import FrozenClock
from tests.ledgers import assert_totals_say_what_the_rows_say, attempt, book, open_rows, rows, settlement

WAIT = 30.0
NOT_DELIVERED = (Outcome.FAILED, 0, 7_000, "not_delivered")
"""Outcome, charge, cost and error of an answer that was cut because it could not be booked: the provider did bill."""


@contextlib.asynccontextmanager
async def running(database: Database, clock: Clock, store: LedgerStore | None = None) -> AsyncIterator[Ledger]:
    ledger = Ledger(database, clock, "w1", store)
    ledger.start(asyncio.get_running_loop())
    try:
        yield ledger
    finally:
        await asyncio.to_thread(ledger.stop)


class Breaker:
    """Makes writing to the ledger's tables fail, as a full disk or a lost server would, and mends it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def break_it(self) -> None:
        self._rename("attempts", "attempts_gone")
        self._rename("open_attempts", "open_attempts_gone")

    def mend(self) -> None:
        self._rename("attempts_gone", "attempts")
        self._rename("open_attempts_gone", "open_attempts")

    def _rename(self, old: str, new: str) -> None:
        with self._database.write() as tx:
            tx.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


@pytest.fixture
def breaker(database: Database) -> Breaker:
    return Breaker(database)


async def until_written(ledger: Ledger) -> None:
    async with asyncio.timeout(WAIT):
        while ledger.depth or not ledger.healthy:  # noqa: ASYNC110 - the writer's own thread tries again
            await asyncio.sleep(0.01)


async def test_an_attempt_fails_at_once_and_leaves_nothing(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    async with running(database, clock) as ledger:
        breaker.break_it()
        with pytest.raises(Unavailable):
            await ledger.open(attempt(clock.now_ms()))
        assert not ledger.healthy
        breaker.mend()
        await until_written(ledger)
    assert open_rows(database) == []
    assert rows(database) == []


async def test_a_settlement_that_failed_is_written_once_when_the_database_is_back(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    async with running(database, clock) as ledger:
        many = [attempt(clock.now_ms(), entropy=n) for n in range(20)]
        await asyncio.gather(*(ledger.open(one) for one in many))
        breaker.break_it()
        told = await asyncio.gather(*(ledger.settle(settlement(one)) for one in many), return_exceptions=True)
        assert all(isinstance(error, Unavailable) for error in told)
        assert ledger.depth == 20
        breaker.mend()
        await until_written(ledger)
        await book(ledger, attempt(clock.now_ms(), entropy=99))
    assert len(rows(database)) == 21
    assert open_rows(database) == []
    assert {(r.outcome, r.charge_pico, r.cost_pico, r.error_code) for r in rows(database)[:20]} == {NOT_DELIVERED}
    assert_totals_say_what_the_rows_say(database)


async def test_settling_again_after_a_failure_still_settles_once(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    async with running(database, clock) as ledger:
        one = attempt(clock.now_ms())
        await ledger.open(one)
        breaker.break_it()
        with pytest.raises(Unavailable):
            await ledger.settle(settlement(one))
        breaker.mend()
        await ledger.settle(settlement(one, outcome=Outcome.FAILED, cost_pico=1))
    assert [(r.outcome, r.charge_pico, r.cost_pico, r.error_code) for r in rows(database)] == [NOT_DELIVERED]
    assert_totals_say_what_the_rows_say(database)


async def test_new_names_survive_a_failure(database: Database, clock: FrozenClock, breaker: Breaker) -> None:
    async with running(database, clock) as ledger:
        alias = ledger.alias_id("fast")
        breaker.break_it()
        with pytest.raises(Unavailable):
            await ledger.open(attempt(clock.now_ms(), alias_id=alias))
        breaker.mend()
        await until_written(ledger)
        await ledger.open(attempt(clock.now_ms(), alias_id=alias))
    with database.read() as tx:
        assert tx.exec_driver_sql("SELECT name FROM aliases").scalars().all() == ["fast"]


async def test_what_is_owed_when_the_ledger_stops_is_closed_as_lost_at_the_next_start(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    one = attempt(clock.now_ms())
    async with running(database, clock) as ledger:
        await ledger.open(one)
        breaker.break_it()
        with pytest.raises(Unavailable):
            await ledger.settle(settlement(one))
    breaker.mend()
    assert Ledger(database, clock, "w2").recover() == 1
    assert [row.outcome for row in rows(database)] == [Outcome.LOST]
    assert_totals_say_what_the_rows_say(database)


async def test_a_lost_connection_is_made_anew(clock: FrozenClock, postgresql_url: str) -> None:
    database = Database(postgresql_url)
    migrations.upgrade(database)
    async with running(database, clock) as ledger:
        one = attempt(clock.now_ms())
        await ledger.open(one)
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with pytest.raises(Unavailable):
            await ledger.settle(settlement(one))
        await until_written(ledger)
    assert [row.outcome for row in rows(database)] == [Outcome.FAILED]
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)
    database.close()


class Doubtful(LedgerStore):
    """Loses its connection just as a commit went through, as often as told: the outcome is not known."""

    doubts = 0

    @contextlib.contextmanager
    def transaction(self, *, wait: bool = True) -> Iterator[Transaction]:
        with super().transaction(wait=wait) as tx:
            yield tx
        if self.doubts:
            self.doubts -= 1
            raise Unavailable("connection lost while committing")


async def test_a_commit_of_unknown_outcome_is_neither_lost_nor_made_twice(
    database: Database, clock: FrozenClock
) -> None:
    store = Doubtful(database)
    ledger = Ledger(database, clock, "w1", store)
    ledger.start(asyncio.get_running_loop())
    kept, refused = attempt(clock.now_ms(), entropy=1), attempt(clock.now_ms(), entropy=2)
    await ledger.open(kept)
    store.doubts = 1
    with pytest.raises(Unavailable):
        await ledger.open(refused)
    await until_written(ledger)
    await ledger.open(attempt(clock.now_ms(), entropy=3))
    assert (refused.request_id, 1) not in open_rows(database)
    store.doubts = 2
    with pytest.raises(Unavailable):
        await ledger.settle(settlement(kept))
    await until_written(ledger)
    await asyncio.to_thread(ledger.stop)
    assert [(row.request_id, row.outcome) for row in rows(database)] == [(kept.request_id, Outcome.SERVED)]
    assert_totals_say_what_the_rows_say(database)


async def test_what_a_client_that_left_owes_stays_owed(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    """Only an answer that waited for its settlement was cut by its failing."""
    async with running(database, clock) as ledger:
        left, followed = attempt(clock.now_ms(), entropy=1), attempt(clock.now_ms(), entropy=2)
        await asyncio.gather(ledger.open(left), ledger.open(followed))
        breaker.break_it()
        settled = [settlement(left, outcome=Outcome.ABORTED)]
        settled.append(
            settlement(followed, outcome=Outcome.FAILED, final=False, charge_pico=0, error_code="idle_timeout")
        )
        await asyncio.gather(*map(ledger.settle, settled), return_exceptions=True)
        breaker.mend()
        await until_written(ledger)
    found = [(row.outcome, row.charge_pico, row.error_code) for row in rows(database)]
    assert found == [(Outcome.ABORTED, 8_000, None), (Outcome.FAILED, 0, "idle_timeout")]


@pytest.mark.parametrize("down", [False, True])
async def test_an_attempt_that_was_to_be_followed_and_was_not_is_its_requests_last(
    database: Database, clock: FrozenClock, breaker: Breaker, down: bool
) -> None:
    async with running(database, clock) as ledger:
        first = attempt(clock.now_ms())
        await ledger.open(first)
        if down:
            breaker.break_it()
        failed = settlement(first, outcome=Outcome.FAILED, final=False, charge_pico=0)
        settled = ledger.settle(failed)
        if down:
            with pytest.raises(Unavailable):
                await ledger.open(replace(first, number=2))
            assert settled.exception() is not None
        ledger.conclude(first)
        if down:
            breaker.mend()
        await until_written(ledger)
    assert open_rows(database) == []
    assert [(row.number, row.final, row.outcome) for row in rows(database)] == [(1, 1, Outcome.FAILED)]
    assert_totals_say_what_the_rows_say(database)


async def test_the_final_attempt_takes_the_places_of_those_before_it(database: Database, clock: FrozenClock) -> None:
    async with running(database, clock) as ledger:
        first = attempt(clock.now_ms())
        await ledger.open(first)
        ledger.settle(settlement(first, outcome=Outcome.FAILED, final=False, charge_pico=0))
        second = replace(first, number=2)
        await ledger.open(second)
        await ledger.settle(settlement(second))
    assert open_rows(database) == []
    assert [row.final for row in rows(database)] == [0, 1]
    assert_totals_say_what_the_rows_say(database)


async def test_while_the_database_is_down_new_attempts_fail_without_trying(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    async with running(database, clock) as ledger:
        breaker.break_it()
        with pytest.raises(Unavailable):
            await ledger.open(attempt(clock.now_ms(), entropy=1))
        refused = ledger.open(attempt(clock.now_ms(), entropy=2))
        assert refused.done()
        assert isinstance(refused.exception(), Unavailable)
        breaker.mend()
        await until_written(ledger)
        await ledger.open(attempt(clock.now_ms(), entropy=3))


async def test_the_writer_recovers_by_itself_with_nothing_owed(
    database: Database, clock: FrozenClock, breaker: Breaker
) -> None:
    async with running(database, clock) as ledger:
        with database.write() as tx:
            tx.exec_driver_sql("ALTER TABLE ledger_changes RENAME TO gone")
        with pytest.raises(Unavailable):
            await ledger.settle(settlement(attempt(clock.now_ms())))
        with database.write() as tx:
            tx.exec_driver_sql("ALTER TABLE gone RENAME TO ledger_changes")
        await until_written(ledger)


async def test_an_attempt_fails_in_time_while_another_process_locks_the_file(
    clock: FrozenClock, tmp_path: Path
) -> None:
    """P8. Five seconds here, for a busy machine; another writer would wait for ten."""
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    migrations.upgrade(database)
    async with running(database, clock, LedgerStore(database, patience_ms=200)) as ledger:
        with contextlib.closing(sqlite_module().connect(str(database.path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable):
                    await ledger.open(attempt(clock.now_ms()))
        await until_written(ledger)
    database.close()


class Crowd:
    """Writers that leave the file free for moments only, each waiting for its turn as SQLite does by itself."""

    def __init__(self, database: Database, count: int) -> None:
        self._path = str(database.path)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(count)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        driver = sqlite_module()
        with contextlib.closing(driver.connect(self._path, isolation_level=None, timeout=0.5)) as connection:
            while not self._stop.is_set():
                with contextlib.suppress(driver.OperationalError):  # it was passed over
                    connection.execute("BEGIN IMMEDIATE")
                    self._stop.wait(0.017)
                    connection.execute("ROLLBACK")
                self._stop.wait(0.02)


async def test_no_attempt_fails_while_many_programs_write(clock: FrozenClock, tmp_path: Path) -> None:
    """SQLite's own wait would find the lock taken again and again."""
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    migrations.upgrade(database)
    async with running(database, clock) as ledger:
        with Crowd(database, 12):
            for entropy in range(20):
                await ledger.open(attempt(clock.now_ms(), entropy=entropy))
    assert len(open_rows(database)) == 20
    database.close()


class Asking:
    """A connection that counts how often it is asked to begin, and calls `at_last` before the twentieth time."""

    def __init__(self, connection: Any, at_last: Callable[[], object]) -> None:
        self.OperationalError = connection.OperationalError
        self.asked = 0
        self._connection = connection
        self._at_last = at_last

    def execute(self, statement: str) -> None:
        self.asked += 1
        if self.asked == 20:
            self._at_last()
        self._connection.execute(statement)


def test_who_waits_to_write_asks_until_it_is_its_turn_or_patience_ends(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    other = sqlite_module().connect(str(database.path), isolation_level=None)
    with contextlib.closing(other), contextlib.closing(database.connect(0)) as mine:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(mine.OperationalError, match="locked"):
            begin_immediate(mine, patience_ms=20, every_ms=1)
        asking = Asking(mine, at_last=lambda: other.execute("ROLLBACK"))
        begin_immediate(asking, patience_ms=30_000, every_ms=1)
        assert asking.asked == 20
        assert mine.in_transaction
    database.close()


def test_reading_the_epochs_of_a_locked_file_does_not_hold_the_gateway_up(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'g.db'}")
    migrations.upgrade(database)
    database.close()
    with contextlib.closing(sqlite_module().connect(str(database.path), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("UPDATE epochs SET routes = 1")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="locked"):
            epochs.reader(database)
        assert time.monotonic() - began < 5


async def test_an_attempt_fails_in_time_while_another_session_locks_the_table(
    clock: FrozenClock, postgresql_url: str
) -> None:
    database = Database(postgresql_url)
    migrations.upgrade(database)
    async with running(database, clock, LedgerStore(database, patience_ms=200)) as ledger:
        with psycopg.connect(postgresql_url) as other:
            other.execute("LOCK TABLE open_attempts")
            async with asyncio.timeout(WAIT):
                with pytest.raises(Unavailable, match="timeout"):
                    await ledger.open(attempt(clock.now_ms()))
        await until_written(ledger)
    database.close()


async def test_an_attempt_fails_in_time_while_the_server_is_frozen(clock: FrozenClock, postgresql_url: str) -> None:
    """A stopped server process keeps its connection and says nothing: no timeout of its own goes off."""
    database = Database(postgresql_url)
    migrations.upgrade(database)
    async with running(database, clock, LedgerStore(database, patience_ms=200)) as ledger:
        with psycopg.connect(postgresql_url, autocommit=True) as other:
            before = _sessions(other)
            await ledger.open(attempt(clock.now_ms(), entropy=1))
            [session] = _sessions(other) - before
            os.kill(session, signal.SIGSTOP)
            try:
                async with asyncio.timeout(WAIT):
                    with pytest.raises(Unavailable):
                        await ledger.open(attempt(clock.now_ms(), entropy=2))
                await until_written(ledger)
            finally:
                os.kill(session, signal.SIGCONT)
        await ledger.open(attempt(clock.now_ms(), entropy=3))
    database.close()


def _sessions(connection: psycopg.Connection[Any]) -> set[int]:
    """Process ids of the server's sessions on this database."""
    found = connection.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()").fetchall()
    return {pid for (pid,) in found}


_VICTIM = """
import asyncio, sys
from keyvault.clock import Clock
from keyvault.domain.ledger import Outcome
from keyvault.metering.ledger import Ledger
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore, Transaction
from tests.ledgers import attempt, settlement

async def client(ledger, number):
    step = 0
    while True:
        step += 1
        first = attempt(Clock().now_ms(), entropy=number << 40 | step)
        await ledger.open(first)
        print("opened", first.request_id, flush=True)
        if step % 3 == 0:
            await ledger.settle(settlement(first, outcome=Outcome.FAILED, final=False))
            first.number = 2
            await ledger.open(first)
        await ledger.settle(settlement(first))
        print("settled", first.request_id, flush=True)

async def main():
    ledger = Ledger(Database(sys.argv[1]), Clock(), sys.argv[2])
    ledger.start(asyncio.get_running_loop())
    await asyncio.gather(*(client(ledger, number) for number in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40, 200])
def test_a_kill_at_any_instant_loses_no_attempt_and_no_settlement(
    database: Database, clock: FrozenClock, lines: int
) -> None:
    """P1, P2 and P3 at the ledger's level: what a future said is in the database, once."""
    said: dict[str, set[str]] = {"opened": set(), "settled": set()}
    command = [sys.executable, "-c", _VICTIM, database.url, "victim"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as victim:
        assert victim.stdout is not None
        for _ in range(lines):
            _note(said, victim.stdout.readline())
        victim.kill()
        for line in victim.stdout:
            _note(said, line)
    Ledger(database, clock, "next").recover()
    found: dict[str, list[Any]] = {}
    for row in rows(database):
        found.setdefault(row.request_id, []).append(row)
    assert said["opened"] <= found.keys()
    assert all(found[request][-1].outcome == Outcome.SERVED for request in said["settled"])
    assert all([row.final for row in of_request] == [0] * (len(of_request) - 1) + [1] for of_request in found.values())
    assert open_rows(database) == []
    assert_totals_say_what_the_rows_say(database)


def _note(said: dict[str, set[str]], line: str) -> None:
    verb, _, request = line.strip().partition(" ")
    if line.endswith("\n") and verb:
        said[verb].add(request)
