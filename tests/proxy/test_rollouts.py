"""A rollout over real sockets: a bad target is out by itself, and no client has noticed; what is drawn stays drawn."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import httpx

from keyvault import audit
from keyvault.domain.keys import Policy
from keyvault.domain.ledger import Outcome
from keyvault.domain.rollouts import By, Plan, Rollout, State, guards_of
from keyvault.domain.routes import Route, Target
from keyvault.routing.ending import ALERT
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Script, Seen, completion

OLD, NEW = Target("old", "m"), Target("new", "m")
HALF = Plan(steps=(500_000,), guards=guards_of(["error_rate < +1%", "p95 < 3x"]))
ALL = replace(HALF, steps=(1_000_000,), guards=guards_of(["error_rate < 5%"]))


def says(text: str) -> Script:
    async def script(_: Seen, line: Line) -> None:
        await line.answer(200, completion(text))

    return script


async def fails(_: Seen, line: Line) -> None:
    await line.answer(500, {"error": {"message": "out of order"}})


@contextlib.asynccontextmanager
async def gateway(root: Path, new: Script) -> AsyncIterator[Running]:
    """A gateway whose alias `m` is served by the old target, with a new one beside it."""
    async with Provider(says("old")).running() as one, Provider(new).running() as two:
        home = new_home(root)
        add_upstream(home, "old", one.url)
        add_upstream(home, "new", two.url)
        home.routes.put(Route.of("m", [OLD]))
        async with running(home) as served:
            yield served


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


async def test_a_target_that_fails_is_taken_out_by_itself_and_no_client_notices(tmp_path: Path) -> None:
    async with gateway(tmp_path, fails) as served:
        rollouts = served.home.rollouts
        rollouts.start("m", NEW, HALF)
        answers = [said(await served.chat()) for _ in range(40)]
        assert set(answers) == {"old"}
        await until(lambda: not rollouts.live())
        found = rollouts.status("m")
        assert found.rollout.state is State.ROLLED_BACK
        assert found.rollout.reason is not None
        assert found.rollout.reason.startswith("error_rate 100.00 % beside 0.00 %, at most 1.00 % allowed")
        assert (found.arm.tally.served, found.baseline.tally.failed) == (0, 0)
        assert (ALERT, "route:m") in [(alert.kind, alert.scope) for alert in served.home.alerts.list()]
        with served.home.database.read() as tx:
            newest = audit.newest(tx, 1)[0]
        assert (newest.action, newest.detail["reason"]) == ("rollouts.rollback", found.rollout.reason)
        assert served.home.routes.current().number == 1


async def test_what_the_new_target_refuses_the_old_one_is_asked(tmp_path: Path) -> None:
    """Such as a parameter that it does not know: no failure of a target elsewhere, but one of the rollout's."""

    async def refuses(_: Seen, line: Line) -> None:
        await line.answer(400, {"error": {"message": "unknown parameter", "code": "unsupported_parameter"}})

    async with gateway(tmp_path, refuses) as served:
        served.home.rollouts.start("m", NEW, ALL)
        assert said(await served.chat()) == "old"
        first, second = await served.rows(2)
        assert (first["status"], first["outcome"], second["outcome"]) == (400, Outcome.FAILED, Outcome.SERVED)
        assert served.home.rollouts.status("m").arm.tally.failed == 1


async def test_one_command_takes_a_target_out_for_the_next_request(tmp_path: Path) -> None:
    async with gateway(tmp_path, says("new")) as served:
        served.home.rollouts.start("m", NEW, ALL)
        assert said(await served.chat()) == "new"
        served.home.rollouts.rollback("m")
        assert said(await served.chat()) == "old"


async def test_each_request_is_recorded_for_the_arm_it_was_drawn_for(tmp_path: Path) -> None:
    async with gateway(tmp_path, says("new")) as served:
        served.home.rollouts.start("m", NEW, HALF)
        answers = Counter([said(await served.chat()) for _ in range(30)])
        rows = await served.rows(30)
        status = served.home.rollouts.status("m")
        assert (status.baseline.tally.served, status.arm.tally.served) == (answers["old"], answers["new"])
        assert min(answers.values()) > 3
        assert {row["outcome"] for row in rows} == {Outcome.SERVED}
        told = [served.home.rollouts.drawn(row["request_id"]) for row in rows]
        assert sum(each.new for each in told if each is not None) == answers["new"]


async def test_a_pin_and_another_model_belong_to_no_arm(tmp_path: Path) -> None:
    async with gateway(tmp_path, says("new")) as served:
        served.home.routes.put(Route.of("other", [OLD]))
        served.home.rollouts.start("m", NEW, ALL)
        pinning = {"authorization": f"Bearer {served.new_key('pinning', pin=True)}", "x-gateway-pin": "old/m"}
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        answer = await served.client.post("/v1/chat/completions", json=body, headers=pinning)
        assert said(answer) == "old"
        assert said(await served.chat(model="other")) == "old"
        await served.rows(2)
        status = served.home.rollouts.status("m")
        assert (status.baseline.tally.requests, status.arm.tally.requests) == (0, 0)


async def test_what_is_drawn_by_a_header_goes_the_same_way_each_time(tmp_path: Path) -> None:
    async with gateway(tmp_path, says("new")) as served:
        started = served.home.rollouts.start("m", NEW, replace(HALF, by=By.HEADER, header="x-team"))
        teams = [f"team-{number}" for number in range(8)]
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        for team in teams * 2:
            answer = await served.client.post("/v1/chat/completions", json=body, headers=served.headers(x_team=team))
            assert said(answer) == ("new" if drawn(started.rollout, team) else "old")
        await served.rows(16)
        status = served.home.rollouts.status("m")
        assert len(status.arm.units) == sum(drawn(started.rollout, team) for team in teams)


def drawn(rollout: Rollout, unit: str) -> bool:
    return rollout.takes(rollout.place(unit))


class Keeper:
    """A provider that keeps responses, and knows only its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0

    async def __call__(self, seen: Seen, line: Line) -> None:
        previous = seen.json.get("previous_response_id")
        if previous is not None and not previous.startswith(f"resp_{self.name}"):
            await line.answer(404, {"error": {"message": "no such response", "code": "previous_response_not_found"}})
            return
        self.asked += 1
        usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
        answer = {"id": f"resp_{self.name}{self.asked}", "object": "response", "status": "completed", "output": []}
        await line.answer(200, {**answer, "usage": usage})


async def test_a_conversation_stays_where_its_state_is_whatever_the_draw_says(tmp_path: Path) -> None:
    """Also while the rollout is paused: nobody new goes there, who is there goes on."""
    async with Provider(Keeper("old")).running() as one, Provider(Keeper("new")).running() as two:
        home = new_home(tmp_path)
        add_upstream(home, "old", one.url)
        add_upstream(home, "new", two.url)
        home.routes.put(Route.of("m", [OLD]))
        async with running(home) as served:
            everything = home.keys.create("all", policy=Policy(endpoints=("all",), isolation=False)).secret.reveal()

            async def respond(previous: str | None) -> str:
                body = {"model": "m", "input": "hi", **({"previous_response_id": previous} if previous else {})}
                headers = {"authorization": f"Bearer {everything}"}
                answer = await served.client.post("/v1/responses", json=body, headers=headers)
                assert answer.status_code == 200, answer.text
                identifier: str = answer.json()["id"]
                return identifier

            before = await respond(None)
            home.rollouts.start("m", NEW, ALL)
            fresh = await respond(None)
            assert (before[:8], fresh[:8]) == ("resp_old", "resp_new")
            assert (await respond(before))[:8] == "resp_old"
            home.rollouts.pause("m")
            assert (await respond(fresh))[:8] == "resp_new"
            assert (await respond(None))[:8] == "resp_old"


async def test_a_rollout_that_something_else_has_changed_sends_nothing_anywhere(tmp_path: Path) -> None:
    async with gateway(tmp_path, says("new")) as served:
        served.home.rollouts.start("m", NEW, ALL)
        assert said(await served.chat()) == "new"
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "gateway.db")) as database:
            database.execute("UPDATE rollouts SET salt = 'another'")
            database.execute("UPDATE epochs SET routes = routes + 1")
            database.commit()
        assert said(await served.chat()) == "old"
