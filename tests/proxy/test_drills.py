"""A drill breaks one target for one key, on the way a real failure takes; nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.drills import Fault
from keyvault.domain.ledger import Outcome
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.routing.reported import reports
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, chunk, completion

DRILLED, OTHER = Target("first", "m"), Target("second", "m")


async def answers(seen: Seen, line: Line) -> None:
    if not seen.json.get("stream"):
        await line.answer(200, completion("sound"))
        return
    await line.begin_stream()
    for each in (chunk({"role": "assistant"}), chunk({"content": "so"}), chunk({"content": "und"}, "stop"), "[DONE]"):
        await line.event(each)
    await line.end_stream()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with Provider(answers).running() as provider:
        home = new_home(tmp_path, {"GWCTL_TIMEOUTS_FIRST_CONTENT": "0.3"})
        for name in ("first", "second"):
            add_upstream(home, name, provider.url)
        home.routes.set("m", [DRILLED, OTHER])
        async with running(home) as gateway:
            yield gateway


def drill(gateway: Running, fault: Fault, key: str = "drilled") -> str:
    secret = gateway.new_key(key, expose=True)
    gateway.home.drills.start(key, DRILLED, fault, timedelta(minutes=1))
    return secret


CODES = {
    Fault.REFUSE: "connect_refused",
    Fault.HANG: "first_content_timeout",
    Fault.LIMITED: "rate_limit_exceeded",
    Fault.SERVER: "server_error",
    Fault.CUT: "connection_lost",
    Fault.GARBAGE: "malformed_answer",
    Fault.SLOW: "first_content_timeout",
}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_target_serves_and_the_failure_stands_in_the_ledger(gateway: Running, stream: bool) -> None:
    faults = [fault for fault in CODES if not (stream and fault in (Fault.CUT, Fault.GARBAGE))]
    secrets = [drill(gateway, fault, f"drilled-{fault}") for fault in faults]
    responses = await asyncio.gather(*(gateway.chat(key=secret, stream=stream) for secret in secrets))
    assert {(each.status_code, each.headers["x-gateway-target"]) for each in responses} == {(200, "second/m")}
    rows = await gateway.rows(2 * len(faults))
    for fault, answer in zip(faults, responses, strict=True):
        failed, served = (row for row in rows if row["request_id"] == answer.headers["x-request-id"])
        assert (failed["outcome"], failed["error_code"]) == (Outcome.FAILED, CODES[fault])
        assert (served["outcome"], failed["charge_pico"] or 0) == (Outcome.SERVED, 0)
        if not fault.reaches_provider:
            assert (failed["cost_pico"], failed["doubt_pico"] or 0) == (0, 0), "no provider can have taken anything"


async def test_a_stream_is_cut_once_its_content_has_begun_and_the_client_is_told(gateway: Running) -> None:
    answer = await gateway.chat(key=drill(gateway, Fault.CUT), stream=True)
    assert "so" in answer.text
    assert "und" not in answer.text
    assert "error" in answer.text
    [row] = await gateway.rows(1)
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "connection_lost")


@pytest.mark.parametrize("fault", [Fault.SERVER, Fault.HANG, Fault.CUT])
async def test_nobody_else_notices(gateway: Running, fault: Fault) -> None:
    secret = drill(gateway, fault)
    for _ in range(6):
        await gateway.chat(key=secret)
    assert (await gateway.chat()).status_code == 200
    rows = await gateway.rows(13)
    assert rows[-1]["number"] == 1, "another key's request went to the target that is drilled"
    assert (await gateway.chat(key=gateway.new_key("open", expose=True))).headers["x-gateway-target"] == "first/m"
    assert not [each for each in reports(gateway.home.workers.live()) if each.failures], "no breaker counts it"


async def test_a_drill_ends_when_it_is_ended(gateway: Running) -> None:
    secret = drill(gateway, Fault.REFUSE)
    [running_now] = gateway.home.drills.running()
    gateway.home.drills.end(running_now.id)
    assert (await gateway.chat(key=secret)).headers["x-gateway-target"] == "first/m"
    assert gateway.home.drills.running() == []
    assert gateway.home.drills.end(running_now.id).ended_at == gateway.home.drills.list()[0].ended_at


def test_what_cannot_be_drilled_is_refused(tmp_path: Path) -> None:
    home = new_home(tmp_path)
    home.keys.create("ci")
    with pytest.raises(NotFound):
        home.drills.start("nobody", DRILLED, Fault.HANG, timedelta(minutes=1))
    for seconds in (0, 3601):
        with pytest.raises(UsageError):
            home.drills.start("ci", DRILLED, Fault.HANG, timedelta(seconds=seconds))
    home.drills.start("ci", DRILLED, Fault.HANG, timedelta(minutes=1))
    with pytest.raises(Conflict):
        home.drills.start("ci", DRILLED, Fault.SERVER, timedelta(minutes=1))
    home.close()
