"""What runs beside the requests goes on, whatever goes wrong in one part of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from keyvault.alerts import Alerts
from keyvault.clock import Clock
from keyvault.errors import Unavailable
from keyvault.proxy.supervision import Chore, Stopping, Supervisor
from keyvault.storage.engine import Database
from keyvault.storage.migrations import upgrade


@pytest.fixture
def alerts(tmp_path: Path) -> Alerts:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    upgrade(database)
    return Alerts(database, Clock())


async def test_a_job_that_fails_is_told_of_and_started_again(alerts: Alerts) -> None:
    stopping, runs = Stopping(), 0
    supervisor = Supervisor(alerts, again=0)

    async def job(_stopping: Stopping) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise OSError("/a/path/that/nobody/should/read")
        assert supervisor.down == set()
        stopping.set()

    await supervisor.keep_up("settling", job, stopping)
    assert runs == 2
    [alert] = alerts.list(resolved=True)
    assert (alert.kind, alert.scope) == ("job_failed", "job:settling")
    assert "OSError" in alert.text
    assert "path" not in alert.text


async def test_a_job_that_ends_before_its_time_is_started_again(alerts: Alerts) -> None:
    stopping, runs = Stopping(), 0

    async def job(_stopping: Stopping) -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            stopping.set()

    await Supervisor(alerts, again=0).keep_up("watch", job, stopping)
    assert runs == 3


async def test_the_alert_is_over_when_a_job_has_run_steadily(alerts: Alerts) -> None:
    stopping, runs = Stopping(), 0

    async def job(_stopping: Stopping) -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError
        while alerts.list():  # noqa: ASYNC110 - an alert has no event
            await asyncio.sleep(0)
        stopping.set()

    async with asyncio.timeout(20):
        await Supervisor(alerts, again=0, steady=0).keep_up("watch", job, stopping)
    assert alerts.list() == []


async def test_a_chore_that_fails_does_not_stop_the_next_and_is_over_when_it_works(alerts: Alerts) -> None:
    supervisor, works = Supervisor(alerts), False

    async def chore() -> None:
        if not works:
            raise KeyError("row")

    await supervisor.attempt("vouching", chore)
    assert [a.scope for a in alerts.list()] == ["job:vouching"]
    works = True
    await supervisor.attempt("vouching", chore)
    assert alerts.list() == []


async def test_of_several_chores_one_that_fails_does_not_stop_the_next(alerts: Alerts) -> None:
    supervisor, works, done = Supervisor(alerts), False, 0

    def first() -> None:
        if not works:
            raise KeyError("row")

    def second() -> None:
        nonlocal done
        done += 1

    chores = {"vouching": first, "balances": second}
    await supervisor.attempt_each(chores)
    assert ([a.scope for a in alerts.list()], done) == (["job:vouching"], 1)
    works = True
    await supervisor.attempt_each(chores)
    assert (alerts.list(), done) == ([], 2)


async def test_what_looks_give_is_done_before_the_chores_and_a_look_that_fails_stops_neither(alerts: Alerts) -> None:
    def look() -> Chore:
        seen.append(threading.current_thread())
        return lambda: done.append("told")

    def blind() -> Chore:
        raise KeyError("row")

    seen: list[threading.Thread] = []
    done: list[str] = []
    chores = {"purse": lambda: done.append("purse")}
    await Supervisor(alerts).attempt_each(chores, {"alerting": blind, "heartbeat": look})
    assert seen == [threading.current_thread()]
    assert done == ["told", "purse"]
    assert [alert.scope for alert in alerts.list()] == ["job:alerting"]


async def test_what_is_known_to_go_wrong_is_no_alert(alerts: Alerts) -> None:
    async def chore() -> None:
        raise Unavailable("database: gone")

    await Supervisor(alerts).attempt("vouching", chore)
    assert alerts.list() == []


async def test_an_alert_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    empty = Database(f"sqlite:///{tmp_path / 'empty.db'}")  # no tables: every statement is a ProgrammingError of a kind

    async def chore() -> None:
        raise KeyError("row")

    await Supervisor(Alerts(empty, Clock())).attempt("vouching", chore)


async def test_many_who_wait_a_while_hear_at_once_that_it_is_time_to_stop() -> None:
    stopping = Stopping()
    assert await stopping.within(0) is False
    waiting = [asyncio.create_task(stopping.within(3600)) for _ in range(3)]
    left = asyncio.create_task(stopping.within(3600))
    await asyncio.sleep(0)
    left.cancel()
    stopping.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await stopping.within(3600) is True
    with pytest.raises(asyncio.CancelledError):
        await left


async def test_a_job_that_begins_later_is_not_begun_once_it_is_time_to_stop(alerts: Alerts) -> None:
    stopping, began = Stopping(), []

    async def job(_stopping: Stopping) -> None:
        began.append(1)
        stopping.set()

    later = asyncio.create_task(Supervisor(alerts).keep_up("later", job, stopping, after=3600))
    await asyncio.sleep(0)
    await Supervisor(alerts).keep_up("now", job, stopping)
    await later
    assert began == [1]
