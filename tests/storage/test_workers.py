"""The registry of workers, on both databases."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from keyvault.storage.engine import Database
from keyvault.workers import Workers
from tests.conftest import FrozenClock


@pytest.fixture
def workers(database: Database, clock: FrozenClock) -> Workers:
    return Workers(database, clock)


def register(workers: Workers) -> str:
    return workers.register("127.0.0.1:8900", "127.0.0.1:8901", "1.0.0")


def test_a_worker_registers_with_what_others_need_to_find_it(workers: Workers, clock: FrozenClock) -> None:
    worker_id = register(workers)
    (worker,) = workers.list()
    assert (worker.id, worker.pid, worker.listen, worker.admin) == (
        worker_id,
        os.getpid(),
        "127.0.0.1:8900",
        "127.0.0.1:8901",
    )
    assert (worker.started_at, worker.heartbeat_at, worker.state) == (clock.now(), clock.now(), {})


def test_a_heartbeat_carries_the_live_state(workers: Workers, clock: FrozenClock) -> None:
    worker_id = register(workers)
    clock.advance(seconds=1)
    workers.beat(worker_id, {"open_streams": 3, "in_flight": 5})
    (worker,) = workers.live()
    assert (worker.heartbeat_at, worker.state) == (clock.now(), {"open_streams": 3, "in_flight": 5})


def test_a_silent_worker_is_not_live_but_still_listed(workers: Workers, clock: FrozenClock) -> None:
    killed = register(workers)
    clock.advance(seconds=5)
    assert [w.id for w in workers.live()] == [killed]
    clock.advance(seconds=1)
    other = register(workers)
    assert [w.id for w in workers.live()] == [other]
    assert [w.id for w in workers.live(timedelta(seconds=10))] == [killed, other]
    assert [w.id for w in workers.list()] == [killed, other]


def test_a_worker_that_leaves_is_gone(workers: Workers) -> None:
    worker_id = register(workers)
    workers.leave(worker_id)
    workers.leave(worker_id)
    assert workers.list() == []


def test_workers_silent_for_a_day_are_cleared_away_by_the_next(workers: Workers, clock: FrozenClock) -> None:
    register(workers)
    clock.advance(days=1, seconds=1)
    newcomer = register(workers)
    assert [w.id for w in workers.list()] == [newcomer]


def test_a_worker_that_slept_too_long_comes_back_at_its_next_heartbeat(workers: Workers, clock: FrozenClock) -> None:
    sleeper = register(workers)
    clock.advance(days=2)
    register(workers)
    workers.beat(sleeper, {"in_flight": 1})
    found = {w.id: w for w in workers.live()}
    assert found[sleeper].state == {"in_flight": 1}


def test_a_worker_that_is_bound_tells_the_addresses_it_got(workers: Workers) -> None:
    worker_id = workers.register("127.0.0.1:0", "127.0.0.1:0", "1.0.0")
    workers.bound(worker_id, "127.0.0.1:40001", "127.0.0.1:40002")
    (worker,) = workers.live()
    assert (worker.listen, worker.admin) == ("127.0.0.1:40001", "127.0.0.1:40002")
