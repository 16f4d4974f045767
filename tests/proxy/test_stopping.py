"""Taking access away from what is under way: streams are cut in their dialect's words, what waits is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyvault.domain.ledger import Outcome
from keyvault.domain.workers import Applied
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, chunk, completion
from tests.proxy.test_gateway import answer_well, events, gateway

LIMIT = timedelta(seconds=20)


async def endless(seen: Seen, line: Line) -> None:
    """A few words, and then nothing more until the gateway leaves."""
    await line.begin_stream()
    if "messages" in seen.path:
        await _claude(line)
    elif "responses" in seen.path:
        await _response(line)
    else:
        for _ in range(5):
            await line.event(chunk({"content": "word "}))
    await line.left()


async def _claude(line: Line) -> None:
    usage = {"input_tokens": 3, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": usage}
    delta = {"type": "text_delta", "text": "word "}
    await line.piece(b"event: message_start\n")
    await line.event({"type": "message_start", "message": message})
    await line.piece(b"event: content_block_delta\n")
    await line.event({"type": "content_block_delta", "index": 0, "delta": delta})


async def _response(line: Line) -> None:
    await line.piece(b"event: response.output_text.delta\n")
    await line.event({"type": "response.output_text.delta", "delta": "word ", "output_index": 0, "content_index": 0})


async def silent(seen: Seen, line: Line) -> None:
    """Takes the request and does not answer."""
    await line.left()


def revoke_and_cut(gw: Running, name: str = "tester") -> Applied:
    """What `gwctl keys revoke NAME --cut` does; returns when every worker has done it."""
    [key] = gw.home.stops.revoke([name])
    return cut(gw, [key.id])


def cut(gw: Running, keys: list[int] | None) -> Applied:
    command = gw.home.workers.order("cut", {"keys": keys})
    return gw.home.workers.wait("keys", LIMIT, command=command)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(0.01)


BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": []},
    "/v1/messages": {"messages": [], "max_tokens": 9},
    "/v1/responses": {"input": "hi", "store": False},
}


@pytest.mark.parametrize("path", BODIES)
async def test_a_stream_of_a_revoked_key_is_cut_with_an_error_of_its_dialect(tmp_path: Path, path: str) -> None:
    async with gateway(tmp_path, endless) as (gw, [provider]):
        if "messages" in path:
            gw.home.upstreams.delete("up0")
            add_upstream(gw.home, "claude", provider.url, "anthropic")
        body = {"model": "m", "stream": True, **BODIES[path]}
        async with gw.client.stream("POST", path, json=body, headers=gw.headers()) as response:
            chunks = response.aiter_text()
            came = ""
            while "word" not in came:
                came += await anext(chunks)
            applied = await asyncio.to_thread(revoke_and_cut, gw)
            async for text in chunks:
                came += text
        await asyncio.wait_for(provider.lines[0].closed_by_client.wait(), 5)
        [row] = await gw.rows(1)
    assert [result["cut"] for result in applied.results] == [1]
    last = json.loads(came.rstrip().splitlines()[-1].removeprefix("data: "))
    code = last["error"]["details"]["error_code"] if path == "/v1/messages" else last["error"]["code"]
    assert (code, last["error"]["type"]) == ("access_withdrawn", "permission_error")
    assert (row["outcome"], row["final"], row["error_code"]) == (Outcome.ABORTED, 1, "access_withdrawn")
    assert row["output"] > 0


async def test_what_a_cut_stream_produced_is_paid_for(tmp_path: Path) -> None:
    async with gateway(tmp_path, endless) as (gw, _):
        async with gw.client.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "stream": True, "messages": []}, headers=gw.headers()
        ) as response:
            chunks = response.aiter_text()
            while "word" not in await anext(chunks):
                pass
            await asyncio.to_thread(revoke_and_cut, gw)
            async for _ in chunks:
                pass
        [row] = await gw.rows(1)
    assert row["charge_pico"] == row["cost_pico"] > 0


async def test_a_request_that_waits_for_its_provider_is_refused_and_goes_to_no_other(tmp_path: Path) -> None:
    async with gateway(tmp_path, silent, answer_well) as (gw, [first, second]):
        asking = asyncio.create_task(gw.chat())
        await until(lambda: bool(first.seen))
        await asyncio.to_thread(revoke_and_cut, gw)
        response = await asking
        [row] = await gw.rows(1)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")
    assert not second.seen
    assert (row["outcome"], row["cost_pico"]) == (Outcome.ABORTED, None)


async def test_the_calls_of_others_go_on(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def when_told(seen: Seen, line: Line) -> None:
        await release.wait()
        await line.answer(200, completion())

    async with gateway(tmp_path, when_told) as (gw, [provider]):
        other = gw.new_key("other")
        asking, others = asyncio.create_task(gw.chat()), asyncio.create_task(gw.chat(key=other))
        await until(lambda: len(provider.seen) == 2)
        applied = await asyncio.to_thread(revoke_and_cut, gw)
        release.set()
        assert ((await asking).status_code, (await others).status_code) == (401, 200)
    assert [result["cut"] for result in applied.results] == [1]


async def test_without_a_cut_what_is_under_way_is_finished(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def when_told(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "word"}))
        await release.wait()
        await line.event(chunk({"content": "end"}, "stop"))
        await line.event("[DONE]")
        await line.end_stream()

    async with gateway(tmp_path, when_told) as (gw, _):
        asking = asyncio.create_task(gw.chat(stream=True))
        await until(lambda: bool(gw.home.workers.live()[0].state.get("open_streams")))
        gw.home.keys.revoke("tester")
        release.set()
        response = await asking
        assert (response.status_code, events(response)[-1]) == (200, "[DONE]")
        assert (await gw.chat()).status_code == 401


async def test_a_key_revoked_while_its_body_is_sent_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        body = json.dumps({"model": "m", "messages": []}).encode()

        async def slowly() -> Any:
            yield body[:5]
            await asyncio.sleep(0.1)  # so that the head has been judged
            gw.home.keys.revoke("tester")
            await asyncio.to_thread(gw.home.workers.wait, "keys", LIMIT)
            yield body[5:]

        headers = gw.headers(content_length=str(len(body)))
        response = await gw.client.post("/v1/chat/completions", content=slowly(), headers=headers)
    assert (response.status_code, provider.seen) == (401, [])


async def test_everybody_suspended_known_callers_get_503_and_unknown_ones_401(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        gw.home.stops.suspend_everybody()
        known, unknown = await gw.chat(), await gw.chat(key="sk-gw_live_nobody")
        assert (known.status_code, known.json()["error"]["code"]) == (503, "gateway_suspended")
        assert int(known.headers["retry-after"]) > 0
        assert unknown.status_code == 401
        assert not provider.seen
        gw.home.stops.resume_everybody()
        assert (await gw.chat()).status_code == 200


async def test_everybody_s_calls_are_cut_with_a_word_that_is_not_about_the_key(tmp_path: Path) -> None:
    async with gateway(tmp_path, silent) as (gw, [provider]):
        asking = asyncio.create_task(gw.chat())
        await until(lambda: bool(provider.seen))
        gw.home.stops.suspend_everybody()
        await asyncio.to_thread(cut, gw, None)
        assert (await asking).status_code == 503


async def test_a_worker_that_starts_suspended_serves_nobody(tmp_path: Path) -> None:
    async with Provider(answer_well).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up0", provider.url)
        home.stops.suspend_everybody()
        async with running(home) as gw:
            assert (await gw.chat()).status_code == 503


async def test_an_idle_worker_tells_within_a_moment_what_it_acts_by(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        gw.home.keys.create("another")
        applied = await asyncio.to_thread(gw.home.workers.wait, "keys", LIMIT)
        [worker] = applied.done
    assert set(worker.state["applied"]) == {"keys", "upstreams", "routes", "prices", "money"}


async def test_a_command_nobody_knows_is_answered_too(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        command = gw.home.workers.order("dance", {})
        applied = await asyncio.to_thread(lambda: gw.home.workers.wait("keys", LIMIT, command=command))
    assert list(applied.results) == [{"error": "unknown command"}]
