"""What follows a failed attempt: which target serves, what the client gets, and what the rows tell."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyvault.domain.ledger import Outcome
from keyvault.domain.routes import Failure
from keyvault.home import Home
from keyvault.proxy.ending import Ending
from keyvault.proxy.failover import failure_of, retry_after
from keyvault.routing.reported import reports
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Script, Seen, chunk, completion

NOON = 1_792_065_600_000  # 2026-10-15 12:00 UTC


async def answer(seen: Seen, line: Line, word: str = "sound") -> None:
    if not seen.json.get("stream"):
        await line.answer(200, completion(word))
        return
    await line.begin_stream()
    for each in (chunk({"content": word}), chunk({}, "stop"), "[DONE]"):
        await line.event(each)
    await line.end_stream()


def says(*events: Any) -> Script:
    """Streams these events, and ends as HTTP goes."""

    async def stream(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        for event in events:
            await line.event(event)
        await line.end_stream()

    return stream


def refuses(status: int, body: Any = None, *headers: str) -> Script:
    async def refuse(seen: Seen, line: Line) -> None:
        await line.answer(
            status, body if body is not None else {"error": {"message": "no", "code": f"said_{status}"}}, *headers
        )

    return refuse


async def empty(seen: Seen, line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n")


async def hang(seen: Seen, line: Line) -> None:
    await line.left()


@contextlib.asynccontextmanager
async def gateway(
    tmp_path: Path, routes: str, scripts: Mapping[str, Script], **environ: str
) -> AsyncIterator[tuple[Running, Counter[str]]]:
    """An upstream `p`, whose models behave as their names say, `sound` among them; `nowhere`, which nobody can reach.
    Yields the gateway and how often each model was asked."""
    asked: Counter[str] = Counter()

    async def behave(seen: Seen, line: Line) -> None:
        model = seen.json["model"]
        asked[model] += 1
        await scripts.get(model, answer)(seen, line)

    async with Provider(behave).running() as provider:
        home = new_home(tmp_path / "home", environ)
        add_upstream(home, "p", provider.url)
        add_upstream(home, "nowhere", "http://127.0.0.1:9")
        home.routes.apply(routes, "routes.toml")
        async with running(home) as gw:
            gw.key = gw.new_key("telling", expose=True)
            yield gw, asked


def routed(*aliases: str, fallbacks: str = '["p/sound"]', more: str = "") -> str:
    """A route for each alias: the model of that name, then a sound one."""
    each = '[routes."{0}"]\ntargets = ["p/{0}"]\nfallbacks = {1}\n{2}\n'
    return "\n".join(each.format(alias, fallbacks, more) for alias in aliases)


def text_of(response: httpx.Response) -> str:
    if not response.headers["content-type"].startswith("text/event-stream"):
        return str(response.json()["choices"][0]["message"]["content"])
    found = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for each in found for choice in each["choices"])


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, str(response.json()["error"]["code"])


HTML = b"<html>no"
FAILING: dict[str, tuple[Script, bool, str]] = {
    **{f"status {code}": (refuses(code), False, f"said_{code}") for code in (402, 403, 408, 409, 429, 500, 501, 529)},
    "redirect": (refuses(302, None, "location: http://elsewhere.invalid/"), False, ""),
    "page": (refuses(502, HTML, "x-y: z"), True, "http_502"),
    "no JSON": (refuses(200, HTML), False, "malformed_answer"),
    "no object": (refuses(200, b"[1]"), False, "malformed_answer"),
    "no content": (refuses(204, b""), False, "malformed_answer"),
    "empty": (empty, False, "malformed_answer"),
    "empty stream": (empty, True, "malformed_answer"),
    "error as answer": (refuses(200, {"error": {"message": "down", "code": 502}}), False, "502"),
    "stream unasked": (says(chunk({"content": "a"}), "[DONE]"), False, "wrong_content_type"),
    "no stream": (refuses(200, completion("whole")), True, "wrong_content_type"),
    "garbage": (says("<html>"), True, "malformed_answer"),
    "nothing": (says("[DONE]"), True, "no_content"),
    "role alone": (says(chunk({"role": "assistant"})), True, "stream_ended_early"),
    "error event": (says({"error": {"message": "overloaded", "code": "overloaded"}}), True, "overloaded"),
}
"""How it fails, whether a stream is asked for, and the code in its row."""


async def test_what_speaks_of_the_target_goes_on_to_the_next_and_leaves_its_reason(tmp_path: Path) -> None:
    scripts = {name.replace(" ", "-"): script for name, (script, _, _) in FAILING.items()}
    async with gateway(tmp_path, routed(*scripts), scripts) as (gw, _):
        asked = [gw.chat(model=name.replace(" ", "-"), stream=stream) for name, (_, stream, _) in FAILING.items()]
        responses = await asyncio.gather(*asked)
        assert {text_of(response) for response in responses} == {"sound"}
        assert {response.headers["x-gateway-target"] for response in responses} == {"p/sound"}
        rows = await gw.rows(2 * len(FAILING))
    by_request = {row["request_id"]: row for row in rows if row["number"] == 1}
    found = [by_request[response.headers["x-request-id"]] for response in responses]
    for name, row in zip(FAILING, found, strict=True):
        assert (row["outcome"], row["final"], row["charge_pico"]) == (Outcome.FAILED, 0, 0), name
        assert row["error_code"] == (FAILING[name][2] or "http_302") or name == "redirect", name
        assert row["error_text"], name
    assert [row["outcome"] for row in rows if row["number"] == 2] == [Outcome.SERVED] * len(FAILING)


OWN = {
    "status-400": (refuses(400), False, (400, "said_400")),
    "status-404": (refuses(404), False, (404, "said_404")),
    "status-422": (refuses(422), False, (422, "said_422")),
    "refused-in-stream": (says({"error": {"message": "too long", "code": "context_length_exceeded"}}), True, None),
}


async def test_what_speaks_of_the_request_is_the_clients_answer(tmp_path: Path) -> None:
    scripts = {name: script for name, (script, _, _) in OWN.items()}
    async with gateway(tmp_path, routed(*scripts), scripts) as (gw, asked):
        for name, (_, stream, expected) in OWN.items():
            response = await gw.chat(model=name, stream=stream)
            assert error_of(response) == expected if expected else "context_length_exceeded" in response.text
        assert not gw.home.workers.live()[0].state.get("targets")
    assert not asked["sound"]


async def test_the_last_providers_error_is_the_answer_when_all_have_failed(tmp_path: Path) -> None:
    scripts = {"limited": refuses(429, None, "retry-after: 7"), "broken": refuses(500), "odd": refuses(200, HTML)}
    routes = (
        routed("limited", fallbacks='["p/odd", "nowhere/m"]')
        + routed("broken", fallbacks='["p/limited"]')
        + routed("odd", fallbacks='["nowhere/m"]')
    )
    async with gateway(tmp_path, routes, scripts) as (gw, _):
        limited, broken, odd = [await gw.chat(model=model) for model in ("limited", "broken", "odd")]
    assert (*error_of(limited), limited.headers["retry-after"]) == (429, "said_429", "7")
    assert (limited.headers["x-gateway-target"], limited.headers["x-gateway-attempts"]) == ("p/limited", "3")
    assert (*error_of(broken), broken.headers["retry-after"]) == (429, "said_429", "7")
    assert error_of(odd) == (502, "connect_refused")


async def test_the_same_target_is_tried_again_as_often_as_the_route_says(tmp_path: Path) -> None:
    tries = iter(range(9))

    async def third_time(seen: Seen, line: Line) -> None:
        await (answer if next(tries) == 2 else refuses(503))(seen, line)

    more = 'retries = { same_target = 2, backoff = "1ms", longest_wait = "1s" }'
    far = refuses(503, None, "retry-after: 2")
    scripts = {"flaky": third_time, "down": refuses(503, None, "retry-after-ms: 1"), "far": far}
    async with gateway(tmp_path, routed(*scripts, more=more), scripts) as (gw, asked):
        flaky, down, far_ = [await gw.chat(model=model) for model in scripts]
        rows = await gw.rows(3 + 4 + 2)
    assert (flaky.headers["x-gateway-target"], flaky.headers["x-gateway-attempts"]) == ("p/flaky", "3")
    assert (down.headers["x-gateway-target"], asked["down"]) == ("p/sound", 3)
    assert (far_.headers["x-gateway-target"], asked["far"]) == ("p/sound", 1), "nobody waits for so long"
    assert sum(row["final"] for row in rows) == 3


async def test_a_route_says_which_failures_are_tried_again(tmp_path: Path) -> None:
    routes = routed("limited", "down", more='retries = { on = ["overloaded"] }')
    async with gateway(tmp_path, routes, {"limited": refuses(429), "down": refuses(500)}) as (gw, _):
        assert text_of(await gw.chat(model="limited")) == "sound"
        assert error_of(await gw.chat(model="down")) == (500, "said_500")


async def test_a_routes_own_times_hold_over_all_its_attempts(tmp_path: Path) -> None:
    routes = (
        routed("hangs", more='timeouts = { first_content = "0.1s" }')
        + '\n[routes.never]\ntargets = ["p/hangs"]\nfallbacks = ["p/sound"]\ntimeouts = { total = "0.1s" }\n'
    )
    async with gateway(tmp_path, routes, {"hangs": hang}) as (gw, _):
        served, ended = await asyncio.gather(gw.chat(model="hangs"), gw.chat(model="never"))
        rows = await gw.rows(3)
    assert text_of(served) == "sound"
    assert error_of(ended) == (504, "total_timeout")
    told = {(row["error_code"], row["error_text"]) for row in rows if row["error_code"]}
    assert told == {
        ("first_content_timeout", "no content within 0.1 s"),
        ("total_timeout", "not complete within 0.1 s"),
    }


async def test_a_target_that_fails_again_and_again_is_asked_last_until_a_probe_succeeds(tmp_path: Path) -> None:
    async with gateway(tmp_path, routed("down"), {"down": refuses(500)}) as (gw, asked):
        responses = [await gw.chat(model="down") for _ in range(8)]
        assert {response.headers["x-gateway-target"] for response in responses} == {"p/sound"}
        assert (asked["down"], asked["sound"]) == (5, 8)
        [report] = [each for each in await told(gw.home) if each.target == "p/down"]
    assert (report.state, report.in_a_row, report.why) == ("open", 5, "said_500: no")


@pytest.mark.parametrize("client_leaves", [False, True])
async def test_a_stream_that_has_begun_lets_others_follow_before_it_ends(tmp_path: Path, client_leaves: bool) -> None:
    down = True

    async def recover(seen: Seen, line: Line) -> None:
        if down:
            await refuses(500)(seen, line)
        elif not seen.json.get("stream"):
            await answer(seen, line, "well")
        else:
            await line.begin_stream()
            await line.event(chunk({"content": "begun"}))
            await line.left()

    async with gateway(tmp_path, routed("down"), {"down": recover}) as (gw, _):
        for _ in range(5):
            await gw.chat(model="down")
        down = False
        pinned = gw.new_key("pinning", pin=True, expose=True)  # asks a target whose breaker is open all the same
        headers = {"authorization": f"Bearer {pinned}", "x-gateway-pin": "p/down"}
        body = {"model": "down", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with gw.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as stream:
            assert b"begun" in await anext(stream.aiter_raw())
            if not client_leaves:
                assert text_of(await gw.chat(model="down")) == "well"
        await no_open_rows(gw.home)
        assert text_of(await gw.chat(model="down")) == "well"


async def test_a_first_event_that_is_large_commits_nothing_before_it_is_complete(tmp_path: Path) -> None:
    async def cut_short(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.piece(b'data: {"choices": [{"delta": {"content": "' + b"x" * 400_000)
        line.cut()

    async with gateway(tmp_path, routed("large"), {"large": cut_short}) as (gw, asked):
        assert text_of(await gw.chat(model="large", stream=True)) == "sound"
        assert asked == {"large": 1, "sound": 1}


async def told(home: Home) -> Any:
    """What the worker tells of its targets, once it has told anything."""
    for _ in range(500):
        found = reports(home.workers.live())
        if any(each.state != "closed" for each in found):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("the worker told nothing")


async def test_a_client_that_leaves_during_a_pause_ends_its_request_with_the_attempt_there_was(tmp_path: Path) -> None:
    failed = asyncio.Event()

    async def refuse(seen: Seen, line: Line) -> None:
        await refuses(500, None, "retry-after: 30")(seen, line)
        failed.set()

    more = 'retries = { same_target = 1, longest_wait = "60s" }'
    async with gateway(tmp_path, routed("slow", fallbacks="[]", more=more), {"slow": refuse}) as (gw, _):
        waiting = asyncio.create_task(gw.chat(model="slow"))
        await failed.wait()
        waiting.cancel()
        [row] = await gw.rows(1)
        await no_open_rows(gw.home)
    assert (row["final"], row["outcome"], row["error_code"]) == (1, Outcome.FAILED, "said_500")


async def test_a_database_that_fails_between_two_attempts_leaves_none_open(tmp_path: Path) -> None:
    def rename(old: str, new: str) -> None:
        with home.database.write() as tx:
            tx.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    async def break_it(seen: Seen, line: Line) -> None:
        rename("open_attempts", "gone")
        await refuses(500)(seen, line)

    async with gateway(tmp_path, routed("down"), {"down": break_it}) as (gw, asked):
        home = gw.home
        response = await gw.chat(model="down")
        assert error_of(response) == (503, "unavailable")
        rename("gone", "open_attempts")
        [row] = await gw.rows(1)
        await no_open_rows(home)
        [row] = await gw.rows(1)
    assert (row["final"], row["outcome"]) == (1, Outcome.FAILED)
    assert not asked["sound"]


async def no_open_rows(home: Home) -> None:
    for _ in range(500):
        with home.database.read() as tx:
            if not tx.exec_driver_sql("SELECT count(*) FROM open_attempts").scalar_one():
                return
        await asyncio.sleep(0.01)
    raise AssertionError("an attempt stays open")


@pytest.mark.parametrize(
    ("header", "value", "seconds"),
    [
        ("retry-after", "7", 7),
        ("retry-after", "0.25", 0.25),
        ("retry-after", "Thu, 15 Oct 2026 12:01:30 GMT", 90),
        ("retry-after", "Thu, 15 Oct 2026 11:00:00 GMT", 0),
        ("retry-after", "99999999999", 86_400),
        ("retry-after", "1e400", 86_400),
        ("retry-after", "soon", None),
        ("retry-after", "-5", None),
        ("retry-after", "", None),
        ("retry-after", "5\xff", None),
        ("retry-after-ms", "1500", 1.5),
        ("retry-after-ms", "nan", None),
        ("x-other", "7", None),
    ],
)
def test_what_a_provider_asks_for_is_read_in_each_form(header: str, value: str, seconds: float | None) -> None:
    assert retry_after([(header.encode(), value.encode("latin-1"))], NOON) == seconds


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(failure=("connect_refused", "")), Failure.CONNECT),
        (Ending(failure=("tls_error", "")), Failure.CONNECT),
        (Ending(failure=("idle_timeout", "")), Failure.TIMEOUT),
        (Ending(failure=("connection_lost", "")), Failure.BROKEN),
        (Ending(status=307), Failure.BROKEN),
        (Ending(status=401), Failure.REFUSED),
        (Ending(status=429), Failure.OVERLOADED),
        (Ending(status=529), Failure.OVERLOADED),
        (Ending(status=599), Failure.SERVER),
        (Ending(status=200, failure=("rate_limit_exceeded", ""), told=True), Failure.OVERLOADED),
        (Ending(status=200, failure=("server_error", ""), told=True), Failure.SERVER),
        (Ending(status=200, failure=("invalid_prompt", ""), told=True), None),
        (Ending(status=200), None),
        (Ending(status=400), None),
        (Ending(status=200, cancelled=True), None),
        (Ending(failure=("access_withdrawn", ""), cut=True), None),
    ],
)
def test_each_ending_is_one_kind_of_failure_or_none(ending: Ending, kind: Failure | None) -> None:
    assert failure_of(ending) is kind
