"""Replaying: what an application would stumble over is found, and nothing else; ceilings hold; runs go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyvault.clock import Clock
from keyvault.domain.ledger import Usage
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, UsageError
from keyvault.secrets import Secret
from opsconsole.staging.asking import Answer, Event, Place
from opsconsole.staging.exchanges import Exchange, Recorded
from opsconsole.staging.replaying import Options, Replay, beside, judge, report_of
from opsconsole.staging.runs import Runs
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running

SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "required": ["city"]}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def asked(**more: Any) -> bytes:
    return json.dumps({"model": "sim", "messages": [{"role": "user", "content": "hello"}], **more}).encode()


def answered(content: str | None = "hi", finish: str = "stop", **more: Any) -> Answer:
    body = {
        "id": "x",
        "choices": [{"index": 0, "message": {"content": content, **more}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    return Answer(200, (("content-type", "application/json"),), json.dumps(body).encode())


def refused(status: int, **error: Any) -> Answer:
    return Answer(status, (), json.dumps({"error": {"message": "no", **error}}).encode())


def streamed(*data: str, failure: str | None = None) -> Answer:
    events = tuple(Event("", each, 1.0) for each in data)
    return Answer(200, (("content-type", "text/event-stream"),), b"", events, failure=failure)


CHUNK = '{"choices":[{"index":0,"delta":{"content":"hi"}}]}'
END = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
USAGE = '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def calling(name: str, arguments: str) -> Answer:
    return answered(None, "tool_calls", tool_calls=[{"function": {"name": name, "arguments": arguments}}])


@pytest.mark.parametrize(
    ("body", "before", "now", "found"),
    [
        (asked(), None, answered(), []),
        (asked(), Recorded(200, answered("other words")), answered(), []),
        (asked(), None, refused(400, param="top_k", code="unsupported"), [("refused", True)]),
        (asked(), Recorded(400), refused(400), []),
        (asked(), Recorded(429), answered(), [("served", False)]),
        (asked(), Recorded(200), refused(429), [("limited", True)]),
        (asked(), Recorded(200), refused(401), [("not_allowed", True)]),
        (asked(), Recorded(500), refused(502), [("failed", True)]),
        (asked(), None, Answer(None, failure="connection refused"), [("no_answer", True)]),
        (asked(), None, Answer(200, (), b"<html>"), [("shape", True)]),
        (asked(), None, Answer(200, (), b'{"error":{"message":"no","code":"x"}}'), [("failed", True)]),
        (asked(stream=True), None, streamed(CHUNK, END, "[DONE]"), []),
        (asked(stream=True), None, answered(), [("stream", True)]),
        (asked(), None, streamed(CHUNK, END, "[DONE]"), [("stream", True)]),
        (asked(stream=True), None, streamed(CHUNK, END), [("stream", True)]),
        (asked(stream=True), None, streamed(CHUNK, failure="the connection ended"), [("stream", True)]),
        (asked(stream=True, stream_options={"include_usage": True}), None, streamed(CHUNK, END, USAGE, "[DONE]"), []),
        (
            asked(stream=True, stream_options={"include_usage": True}),
            None,
            streamed(CHUNK, END, "[DONE]"),
            [("usage", True)],
        ),
        (asked(tools=TOOLS), None, calling("weather", '{"city":"Bonn"}'), []),
        (asked(tools=TOOLS), None, calling("weather", '{"city":'), [("tools", True)]),
        (asked(tools=TOOLS), None, calling("clock", "{}"), [("tools", True)]),
        (asked(tools=TOOLS, tool_choice="required"), None, answered(), [("tools", True)]),
        (asked(tools=TOOLS), Recorded(200, calling("weather", "{}")), answered(), [("tools", False)]),
        (asked(response_format=SCHEMA), None, answered('{"city":"Bonn"}'), []),
        (asked(response_format=SCHEMA), None, answered('{"town":"Bonn"}'), [("schema", True)]),
        (asked(response_format=SCHEMA), None, answered("Bonn"), [("schema", True)]),
        (asked(response_format=SCHEMA), None, answered('{"ci', "length"), []),
        (asked(response_format={"type": "json_object"}), None, answered("[1]"), []),
        (asked(), Recorded(200, answered()), answered(""), [("empty", True)]),
        (asked(), Recorded(200, answered()), answered("hi", "length"), [("finish", False)]),
        (asked(), Recorded(200, answered("hi", annotations=[{"x": 1}])), answered(), [("shape", False)]),
        (asked(stream=True), Recorded(200, streamed(CHUNK, END, "[DONE]")), streamed(CHUNK, END, USAGE, "[DONE]"), []),
        (
            asked(stream=True),
            Recorded(200, streamed(CHUNK, END, USAGE, "[DONE]")),
            streamed(CHUNK, END, "[DONE]"),
            [("stream", False)],
        ),
    ],
)
def test_what_an_application_would_notice(
    body: bytes, before: Recorded | None, now: Answer, found: list[tuple[str, bool]]
) -> None:
    findings = judge(Exchange("1", "/chat/completions", body, before), now)
    assert [(finding.kind, finding.breaks) for finding in findings] == found


def test_a_refused_parameter_is_named() -> None:
    [finding] = judge(Exchange("1", "/chat/completions", asked()), refused(400, param="top_k", code="unsupported"))
    assert finding.text == "400 unsupported (top_k): no"


class Prices:
    """A tenth of a cent for each request, whoever serves it; nothing known of the model `unpriced`."""

    COST = 10**9

    def targets(self, _path: str, model: str | None, _pin: Target | None = None) -> tuple[Target, ...]:
        return () if model == "unpriced" else (Target("openai", model or ""),)

    def about(self, *_: Any) -> int | None:
        return self.COST

    def of_usage(self, _target: Target, usage: Usage | None) -> int | None:
        return None if usage is None else self.COST


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running(Profile()) as [simulator]:
        yield simulator


@pytest.fixture
def place(simulator: Simulator) -> Place:
    return Place.at(simulator.origin, Secret(simulator.profile.credential))


def exchanges(count: int) -> list[Exchange]:
    return [Exchange(str(i), "/chat/completions", asked(n=1, seed=i), line=i) for i in range(count)]


def a_replay(many: int, **options: Any) -> Replay:
    return Replay(exchanges(many), Options(**options), Prices(), own=False)  # type: ignore[arg-type]


async def test_no_request_is_begun_that_the_ceiling_does_not_cover(tmp_path: Path, place: Place) -> None:
    run = Runs(tmp_path, Clock()).begin("replay", "x", {})
    replay = a_replay(10, concurrency=3, max_cost_pico=7 * Prices.COST)
    await replay.run(place, run)
    assert (len(run.done()), replay.stopped) == (7, "the cost ceiling")


async def test_an_interrupted_replay_sends_only_what_is_left(
    tmp_path: Path, place: Place, simulator: Simulator
) -> None:
    run = Runs(tmp_path, Clock()).begin("replay", "x", {})
    await a_replay(4).run(place, run)
    before = simulator.counts.to_json()["requests"]
    told: list[tuple[int, int]] = []
    await a_replay(6, max_cost_pico=6 * Prices.COST).run(place, run, lambda *progress: told.append(progress))
    assert simulator.counts.to_json()["requests"] - before == 2
    assert told == [(4, 6), (5, 6), (6, 6)]
    assert report_of(run.done(), 6).passed


async def test_a_replay_stops_where_nobody_answers_and_sends_that_again_when_it_goes_on(
    tmp_path: Path, place: Place
) -> None:
    run = Runs(tmp_path, Clock()).begin("replay", "x", {})
    replay = a_replay(30, concurrency=1)
    await replay.run(Place.at("http://127.0.0.1:9"), run)
    assert (len(run.done()), replay.stopped) == (10, "10 requests in a row got no answer")
    again = a_replay(30)
    assert len(again.left(run)) == 30
    await again.run(place, run)
    assert report_of(run.done(), 30, again.stopped).passed


async def test_a_file_that_was_changed_is_not_gone_on_with(tmp_path: Path, place: Place) -> None:
    run = Runs(tmp_path, Clock()).begin("replay", "x", {})
    await a_replay(2).run(place, run)
    changed = [exchanges(1)[0], Exchange("1", "/chat/completions", asked(seed=99), line=2)]
    with pytest.raises(Conflict, match="line 2 is another request"):
        Replay(changed, Options(), Prices(), own=False).left(run)  # type: ignore[arg-type]


async def test_what_was_said_is_not_kept(tmp_path: Path, place: Place) -> None:
    """Neither what was asked, nor what was answered, nor a credential that an error repeats."""
    run = Runs(tmp_path, Clock()).begin("replay", "x", {})
    strict = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["Bonn"]}}}
    asks = Exchange("1", "/chat/completions", asked(response_format=strict), line=1)
    answers = [answered(json.dumps("a secret of mine")), refused(401, message="wrong key sk-proj-abcdefghijklmnop1234")]
    told = [finding.text for answer in answers for finding in judge(asks, answer)]
    assert told[0] == '$: not to enum ["Bonn"]'
    assert "sk-proj-abcdefghijklmnop1234" not in told[1]
    replay = Replay([asks], Options(), Prices(), own=False)  # type: ignore[arg-type]
    await replay.run(place, run)
    assert "hello" not in (run.directory / "items.jsonl").read_text()


async def test_requests_begin_no_faster_than_asked(tmp_path: Path, place: Place) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    replay = Replay(exchanges(4), Options(per_second=0.01), Prices(), own=False, sleep=sleep)  # type: ignore[arg-type]
    await replay.run(place, Runs(tmp_path, Clock()).begin("replay", "x", {}))
    assert [round(wait / 100) for wait in sorted(waits)] == [1, 2, 3]


def test_a_ceiling_needs_prices() -> None:
    with pytest.raises(UsageError, match="no price is known for 'unpriced'"):
        a_replay(2, model="unpriced", max_cost_pico=1)


def test_models_are_renamed_and_everything_else_keeps_its_bytes() -> None:
    exchange = Exchange("1", "/chat/completions", b'{"model":"fast","messages":[],"top_p":1.0}')
    renamed = Replay([], Options(renamed={"fast": "gpt-5"}), Prices(), own=False)  # type: ignore[arg-type]
    assert renamed.body_of(exchange) == b'{"messages":[],"top_p":1.0,"model":"gpt-5"}'
    assert a_replay(0, renamed={"slow": "x"}).body_of(exchange) == exchange.body


def record(now: float | None, before: float | None, *, status: int = 200, breaks: bool = False) -> dict[str, Any]:
    findings = [{"kind": "stream", "text": "cut", "breaks": True}] if breaks else []
    recorded = {"status": 200, "first_content_ms": None, "total_ms": before, "cost_pico": 5}
    figures = {"first_content_ms": now, "total_ms": now, "cost_pico": 10, "recorded": recorded}
    return {"line": 1, "status": status, "findings": findings, **figures}


def test_a_report_compares_only_what_is_known_of_both() -> None:
    records = [record(100, 50), record(300, None), record(200, 100), record(None, 70, status=500, breaks=True)]
    report = report_of({str(i): each for i, each in enumerate(records)}, 5)
    assert (report.sent, report.served, report.broken, report.passed) == (4, 3, 1, False)
    p50 = report.total_ms["p50"]
    assert (p50.pairs, p50.now, p50.before, p50.ratio) == (2, 100, 50, 2.0)
    assert (report.cost_pico.now, report.cost_pico.before, report.spent_pico) == (30, 15, 40)
    assert [(kind.kind, kind.requests) for kind in report.kinds] == [("stream", 1)]


def test_two_replays_are_compared_over_the_requests_that_are_the_same() -> None:
    def told(body: str, now: float, *, breaks: bool = False) -> dict[str, Any]:
        return {**record(now, None, breaks=breaks, status=500 if breaks else 200), "body": body}

    one = {"a": told("1", 10), "b": told("2", 20), "c": told("3", 30, breaks=True), "d": told("4", 40)}
    other = {"a": told("1", 5), "b": told("2", 9, breaks=True), "c": told("3", 9), "d": told("9", 9), "e": told("5", 1)}
    found = beside(one, other)
    assert (found.requests, found.apart) == (3, 2)
    assert (found.broken.before, found.broken.now) == (1, 1)
    assert [(each.item, each.breaks_anew) for each in found.differences] == [("b", True), ("c", False)]
    p50 = found.total_ms["p50"]
    assert (p50.pairs, p50.before, p50.now) == (1, 10, 5), "only what both were served"
