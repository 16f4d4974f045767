"""The life of a request, against scripted providers: what goes out, what comes back, what is booked."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from keyvault.domain.keys import Policy
from keyvault.domain.ledger import Basis, Outcome
from keyvault.domain.routes import Target
from keyvault.proxy.admission import Call
from keyvault.proxy.server import serving
from tests.proxy.harness import UPSTREAM_SECRET, Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Script, Seen, chunk, completion, usage_chunk


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model=seen.json["model"] if seen.body else "?"), "x-request-id: req_provider_1")


async def stream_well(seen: Seen, line: Line) -> None:
    await line.begin_stream()
    await line.event(chunk({"role": "assistant", "content": ""}))
    for word in ("hel", "lo"):
        await line.event(chunk({"content": word}))
    await line.event(chunk({}, "stop"))
    if seen.json.get("stream_options", {}).get("include_usage"):
        await line.event(usage_chunk())
    await line.event("[DONE]")
    await line.end_stream()


@contextlib.asynccontextmanager
async def gateway(tmp_path: Path, *scripts: Script, **environ: str) -> AsyncIterator[tuple[Running, list[Provider]]]:
    """A gateway with one upstream per script: `up0`, `up1`, …; several serve the alias `m` in that order."""
    async with contextlib.AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(Provider(script).running()) for script in scripts]
        home = new_home(tmp_path / "home", environ)
        for number, provider in enumerate(providers):
            add_upstream(home, f"up{number}", provider.url)
        if len(providers) > 1:
            home.routes.set("m", tuple(Target(f"up{n}", "m") for n in range(len(providers))))
        yield await stack.enter_async_context(running(home)), providers


def events(response: httpx.Response) -> list[str]:
    return [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]


async def test_an_answer_is_the_providers_own_and_is_booked_exactly(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        response = await gw.chat()
        assert (response.status_code, response.json()) == (200, completion(model="m"))
        [row] = await gw.rows(1)
    assert (row["outcome"], row["final"], row["status"], row["basis"]) == (Outcome.SERVED, 1, 200, Basis.PROVIDER)
    assert (row["input"], row["output"]) == (7, 3)
    assert row["cost_pico"] == row["charge_pico"] == 7 * 10**6 + 3 * 2 * 10**6
    assert row["provider_request_id"] == "req_provider_1"
    assert response.headers["x-request-id"] == row["request_id"]
    assert provider.seen[0].header("x-client-request-id") == f"{row['request_id']}-1"


async def test_the_client_key_stays_here_and_the_credential_stays_there(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        headers = gw.headers(
            cookie="a=b", openai_organization="org-x", x_forwarded_for="1.2.3.4", accept_encoding="gzip"
        )
        response = await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
    sent = provider.seen[0]
    assert sent.header("authorization") == f"Bearer {UPSTREAM_SECRET}"
    assert sent.header("accept-encoding") == "identity"
    assert not {"cookie", "openai-organization", "x-forwarded-for"} & {name for name, _ in sent.headers}
    assert UPSTREAM_SECRET not in str(response.headers) + response.text
    assert gw.key not in str(sent.headers)


async def test_a_stream_that_is_over_but_does_not_end_leaves_no_connection_behind(tmp_path: Path) -> None:
    async def over(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "hi"}))
        await line.event("[DONE]")
        await line.left()

    async with Provider(over).running() as provider:
        add_upstream(home := new_home(tmp_path / "home"), "up0", provider.url)
        async with running(home) as gw:
            assert (await gw.chat(stream=True)).text.endswith("data: [DONE]\n\n")
        await asyncio.wait_for(provider.lines[0].closed_by_client.wait(), 5)


async def test_every_wrong_key_gets_the_same_401(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        swapped = gw.key[:-1] + ("0" if gw.key[-1] != "0" else "1")
        tokens = [
            b"sk-gw_live_nope",
            swapped.encode(),
            b"-",
            b"\xff\xfe",
            gw.key.encode() + b"x" * 300,
            "ｓｋ".encode(),
        ]
        answers = set()
        for token in tokens:
            response = await gw.client.post(
                "/v1/chat/completions", json={}, headers=[(b"authorization", b"Bearer " + token)]
            )
            answers.add((response.status_code, response.text))
        twice = [("authorization", f"Bearer {gw.key}"), ("authorization", f"Bearer {gw.key}")]
        answers.add(((r := await gw.client.post("/v1/chat/completions", json={}, headers=twice)).status_code, r.text))
    [(status, body)] = answers
    assert status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert not provider.seen


async def test_a_revoked_key_is_refused_at_its_next_request(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        assert (await gw.chat()).status_code == 200
        gw.home.keys.revoke("tester")
        assert (await gw.chat()).status_code == 401


async def test_a_stateful_path_needs_a_key_that_may_use_all(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        refused = await gw.client.get("/v1/files", headers=gw.headers())
        assert refused.status_code == 403
        assert "--endpoints all" in refused.json()["error"]["message"]
        assert not provider.seen
        everything = gw.new_key("everything", endpoints=("all",), isolation=False)
        relayed = await gw.client.delete(
            "/v1/files/f-1?x=1&api_key=k", headers={"authorization": f"Bearer {everything}"}
        )
        [row] = await gw.rows(1)
    assert relayed.status_code == 200
    assert (provider.seen[0].method, provider.seen[0].path) == ("DELETE", "/v1/files/f-1?x=1")
    assert row["dialect"] == "other"


async def test_a_path_cannot_climb_out_of_the_upstreams_prefix(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        key = gw.new_key("everything", endpoints=("all",), isolation=False)
        host, port = gw.url.removeprefix("http://").split(":")
        for path in ("/v1/../admin", "/v1/%2e%2e/admin", "/v1/a/./b", "/v1/x%2fy"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode())
            assert (await reader.readline()).split()[1] == b"400"
            writer.close()
    assert not provider.seen


async def test_websocket_upgrades_are_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        headers = gw.headers(connection="upgrade", upgrade="websocket")
        response = await gw.client.get("/v1/realtime?model=m", headers=headers)
    assert response.status_code == 403
    assert "WebSocket" in response.json()["error"]["message"]
    assert not provider.seen


async def test_a_key_limited_to_models_cannot_reach_others(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        key = gw.new_key("narrow", models=("gpt-*",))
        assert (await gw.chat(key=key)).status_code == 403
        smuggled = b'{"model": "m", "model": "gpt-x", "messages": []}'
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        assert (await gw.client.post("/v1/chat/completions", content=smuggled, headers=headers)).status_code == 200
    assert provider.seen[0].json == {"model": "gpt-x", "messages": []}, (
        "the provider sees the one model that was judged"
    )


async def test_an_alias_is_served_by_its_target_under_the_targets_name(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        gw.home.routes.set("fast", (Target("up0", "m"),))
        assert (await gw.chat(model="fast")).status_code == 200
        unknown = await gw.chat(model="gone")
        [row] = await gw.rows(1)
        listed = await gw.client.get("/v1/models", headers=gw.headers())
    assert provider.seen[0].json["model"] == "m"
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert [model["id"] for model in listed.json()["data"]] == ["fast"]
    assert row["cost_pico"] is not None


async def test_target_attempts_and_cost_are_told_only_to_keys_that_may_see_them(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        plain = await gw.chat()
        exposed = await gw.chat(key=gw.new_key("exposed", expose=True))
    assert not [name for name in plain.headers if name.startswith("x-gateway")]
    assert exposed.headers["x-gateway-target"] == "up0/m"
    assert exposed.headers["x-gateway-attempts"] == "1"
    assert exposed.headers["x-gateway-cost"] == "0.000013"


async def test_a_pin_picks_the_target_for_keys_that_may_pin(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well, answer_well) as (gw, providers):
        refused = await gw.client.post(
            "/v1/chat/completions", json={"model": "m"}, headers=gw.headers(x_gateway_pin="up1/m")
        )
        key = gw.new_key("pinner", pin=True)
        headers = {"authorization": f"Bearer {key}", "x-gateway-pin": "up1/other"}
        pinned = await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
        headers["authorization"] = f"Bearer {gw.new_key('narrow', pin=True, models=('m',))}"
        outside = await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
    assert (refused.status_code, pinned.status_code, outside.status_code) == (403, 200, 403)
    assert [len(p.seen) for p in providers] == [0, 1]
    assert providers[1].seen[0].json["model"] == "other"


async def test_a_stream_passes_event_by_event_without_the_usage_nobody_asked_for(tmp_path: Path) -> None:
    async with gateway(tmp_path, stream_well) as (gw, [provider]):
        response = await gw.chat(stream=True)
        [row] = await gw.rows(1)
    assert provider.seen[0].json["stream_options"] == {"include_usage": True}
    said = events(response)
    assert said[-1] == "[DONE]"
    assert not [e for e in said if '"usage"' in e]
    assert (row["input"], row["output"], row["basis"], row["stream"]) == (7, 3, Basis.PROVIDER, 1)
    assert row["first_content_ms"] is not None


async def test_a_client_that_asks_for_usage_gets_it(tmp_path: Path) -> None:
    async with gateway(tmp_path, stream_well) as (gw, _):
        response = await gw.chat(stream=True, stream_options={"include_usage": True})
    assert json.loads(events(response)[-2])["usage"]["prompt_tokens"] == 7


async def test_the_terminal_event_waits_for_the_settlement(tmp_path: Path) -> None:
    """P2: while the ledger cannot write, a stream's content flows but its end is not told."""
    async with (
        gateway(tmp_path, stream_well) as (gw, _),
        gw.client.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "stream": True, "messages": []}, headers=gw.headers()
        ) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if '"lo"' in line:
                break
        ended = asyncio.create_task(_until_done(lines))
        with gw.home.database.write():  # nobody else can write while this is open
            await asyncio.sleep(0.15)
            assert not ended.done() or (await _settled(gw)), "the end was told before the row was durable"
        await ended
        assert await _settled(gw)


async def _until_done(lines: AsyncIterator[str]) -> None:
    async for line in lines:
        if "[DONE]" in line:
            return


async def _settled(gw: Running) -> bool:
    with gw.home.database.read() as tx:
        return bool(tx.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failure_before_content_goes_to_the_next_target(tmp_path: Path, stream: bool) -> None:
    async def overloaded(seen: Seen, line: Line) -> None:
        await line.answer(503, {"error": {"message": "overloaded", "type": "server_error", "code": None}})

    async def empty_then_dead(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"role": "assistant", "content": ""}))
        line.cut()

    second = stream_well if stream else answer_well
    async with gateway(tmp_path, overloaded, empty_then_dead, second) as (gw, providers):
        response = await gw.chat(stream=stream)
        rows = await gw.rows(3)
    assert response.status_code == 200
    assert [len(p.seen) for p in providers] == [1, 1, 1]
    assert [row["outcome"] for row in rows] == [Outcome.FAILED, Outcome.FAILED, Outcome.SERVED]
    assert [row["final"] for row in rows] == [0, 0, 1]
    assert [row["charge_pico"] for row in rows] == [0, 0, 13 * 10**6]
    assert rows[1]["cost_pico"] is None, "what a broken attempt cost is not known"


async def test_a_request_that_failed_over_to_an_unpriced_target_has_no_known_cost(tmp_path: Path) -> None:
    async def overloaded(seen: Seen, line: Line) -> None:
        await line.answer(503, {"error": {"message": "overloaded"}})

    async def answer_without_usage(seen: Seen, line: Line) -> None:
        await line.answer(200, {"id": "x", "object": "chat.completion", "choices": []})

    async with gateway(tmp_path, overloaded, answer_without_usage) as (gw, _):
        await gw.chat()
        await gw.rows(2)
        [line] = gw.home.reports.tail(1)
    assert (line.attempts, line.cost_pico, line.charge_pico, line.input_tokens) == (2, None, None, None)


async def test_an_uploaded_file_is_not_counted_as_text(tmp_path: Path) -> None:
    async def transcribe(seen: Seen, line: Line) -> None:
        await line.answer(200, {"text": "hello there", "usage": {"type": "duration", "seconds": 12}})

    async with gateway(tmp_path, transcribe) as (gw, _):
        form = {"files": {"file": ("a.wav", b"\0" * 50_000)}, "data": {"model": "m"}}
        response = await gw.client.post("/v1/audio/transcriptions", headers=gw.headers(), **form)
        [row] = await gw.rows(1)
    assert response.status_code == 200
    assert (row["input"], row["cost_pico"]) == (None, None)
    assert row["output"] > 0


async def test_the_last_targets_error_is_passed_on_as_it_is(tmp_path: Path) -> None:
    error = {
        "error": {"message": f"slow down, {UPSTREAM_SECRET}", "type": "requests", "param": None, "code": "rate_limit"}
    }

    async def limited(seen: Seen, line: Line) -> None:
        await line.answer(429, error, "retry-after: 7")

    async with gateway(tmp_path, limited) as (gw, _):
        response = await gw.chat()
        [row] = await gw.rows(1)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert response.json()["error"]["code"] == "rate_limit"
    assert UPSTREAM_SECRET not in response.text + str(row)
    assert (row["outcome"], row["error_code"], row["cost_pico"], row["charge_pico"]) == (
        Outcome.FAILED,
        "rate_limit",
        0,
        0,
    )


async def test_a_refused_credential_is_not_told_as_the_clients(tmp_path: Path) -> None:
    async def unauthorised(seen: Seen, line: Line) -> None:
        await line.answer(401, {"error": {"message": f"Incorrect API key provided: {UPSTREAM_SECRET}"}})

    async with gateway(tmp_path, unauthorised) as (gw, _):
        response = await gw.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_refused_credential")
    assert UPSTREAM_SECRET not in response.text


async def test_a_provider_that_cannot_be_reached_is_a_502_that_cost_nothing(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        home = gw.home
        add_upstream(home, "nowhere", "http://127.0.0.1:9")
        home.routes.set("m", (Target("nowhere", "m"),))
        response = await gw.chat()
        [row] = await gw.rows(1)
    assert response.status_code == 502
    assert (row["error_code"], row["cost_pico"]) == ("connect_refused", 0)
    assert not provider.seen


async def test_a_provider_dying_in_mid_stream_is_an_error_event(tmp_path: Path) -> None:
    async def die(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "hello there"}))
        line.cut()

    async with gateway(tmp_path, die) as (gw, _):
        response = await gw.chat(stream=True)
        [row] = await gw.rows(1)
    assert json.loads(events(response)[-1])["error"]["code"] == "connection_lost"
    assert (row["outcome"], row["charge_pico"]) == (Outcome.FAILED, 0)
    assert row["basis"] in (Basis.TOKENIZER, Basis.ESTIMATE)
    assert row["output"] > 0


async def _begin_whole_answer(seen: Seen, line: Line) -> None:
    await line.send(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"id": "x",')
    line.cut()


async def _begin_stream(seen: Seen, line: Line) -> None:
    await line.begin_stream()
    await line.event(chunk({"role": "assistant", "content": ""}))
    line.cut()


async def _begin_stream_and_stall(seen: Seen, line: Line) -> None:
    await line.begin_stream()
    await line.event(chunk({"role": "assistant", "content": ""}))
    await line.left()


@pytest.mark.parametrize(
    ("script", "status"), [(_begin_whole_answer, 502), (_begin_stream, 502), (_begin_stream_and_stall, 504)]
)
async def test_an_answer_that_broke_off_before_content_is_no_answer(
    tmp_path: Path, script: Script, status: int
) -> None:
    async with gateway(tmp_path, script, GWCTL_TIMEOUTS_FIRST_CONTENT="0.3") as (gw, _):
        response = await gw.chat(stream=script is not _begin_whole_answer)
        exposed = await gw.chat(stream=script is not _begin_whole_answer, key=gw.new_key("exposed", expose=True))
        [row, _] = await gw.rows(2)
    assert (response.status_code, response.json()["error"]["code"]) == (status, row["error_code"])
    assert len(exposed.json()["error"]["message"]) > len(response.json()["error"]["message"])
    assert row["outcome"] == Outcome.FAILED


async def test_an_error_event_before_content_is_passed_on_as_the_provider_said_it(tmp_path: Path) -> None:
    async def fail(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event({"error": {"message": f"no, {UPSTREAM_SECRET}", "type": "server_error", "code": "overloaded"}})
        await line.end_stream()

    async with gateway(tmp_path, fail) as (gw, _):
        response = await gw.chat(stream=True)
        [row] = await gw.rows(1)
    assert (response.status_code, row["outcome"]) == (200, Outcome.FAILED)
    assert json.loads(events(response)[-1])["error"]["code"] == "overloaded"
    assert UPSTREAM_SECRET not in response.text + str(row)


async def test_a_client_that_leaves_cancels_the_providers_call(tmp_path: Path) -> None:
    async def endless(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        for _ in range(5):
            await line.event(chunk({"content": "word "}))
        await line.left()

    async with gateway(tmp_path, endless) as (gw, [provider]):
        async with gw.client.stream(
            "POST", "/v1/chat/completions", json={"model": "m", "stream": True, "messages": []}, headers=gw.headers()
        ) as response:
            async for line in response.aiter_lines():
                if "word" in line:
                    break
        await asyncio.wait_for(provider.lines[0].closed_by_client.wait(), 5)
        [row] = await gw.rows(1)
    assert (row["outcome"], row["final"]) == (Outcome.ABORTED, 1)
    assert row["output"] > 0
    assert row["charge_pico"] == row["cost_pico"] > 0


async def test_a_client_that_leaves_before_the_answer_leaves_an_unknown_cost(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def silent(seen: Seen, line: Line) -> None:
        asked.set()
        await line.left()

    async with gateway(tmp_path, silent) as (gw, [provider]):
        request = asyncio.create_task(gw.chat())
        await asked.wait()
        request.cancel()
        await asyncio.wait_for(provider.lines[0].closed_by_client.wait(), 5)
        [row] = await gw.rows(1)
    assert (row["outcome"], row["cost_pico"], row["basis"]) == (Outcome.ABORTED, None, Basis.UNKNOWN)


async def test_a_silent_provider_is_given_up_on(tmp_path: Path) -> None:
    async def silent(seen: Seen, line: Line) -> None:
        await line.left()

    async with gateway(tmp_path, silent, GWCTL_TIMEOUTS_FIRST_CONTENT="0.3") as (gw, [provider]):
        response = await gw.chat()
        [row] = await gw.rows(1)
        assert provider.lines[0].closed_by_client.is_set()
    assert (response.status_code, response.json()["error"]["code"]) == (504, "first_content_timeout")
    assert row["cost_pico"] is None


async def test_a_kept_connection_that_died_is_tried_once_more_on_a_fresh_one(tmp_path: Path) -> None:
    async def answer_once(seen: Seen, line: Line) -> None:
        if len(provider.lines) == 1 and len(provider.seen) == 2:
            line.cut()
            return
        await answer_well(seen, line)

    async with gateway(tmp_path, answer_once) as (gw, [provider]):
        assert (await gw.chat()).status_code == 200
        assert (await gw.chat()).status_code == 200
        rows = await gw.rows(3)
    assert [row["outcome"] for row in rows] == [Outcome.SERVED, Outcome.FAILED, Outcome.SERVED]


async def test_a_large_answer_is_relayed_while_it_comes(tmp_path: Path) -> None:
    big = {**completion(), "padding": "x" * 300_000}

    async def answer_big(seen: Seen, line: Line) -> None:
        await line.answer(200, json.dumps({"padding": big["padding"], **completion()}).encode())

    async with gateway(tmp_path, answer_big, GWCTL_LIMITS_COLLECTED="65536") as (gw, _):
        response = await gw.chat()
        [row] = await gw.rows(1)
    assert response.json()["padding"] == big["padding"]
    assert (row["input"], row["output"], row["basis"]) == (7, 3, Basis.PROVIDER)


async def test_a_large_answer_cut_short_is_cut_for_the_client_too(tmp_path: Path) -> None:
    async def answer_part(seen: Seen, line: Line) -> None:
        await line.send(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400000\r\n\r\n" + b" " * 200_000
        )
        line.cut()

    async with gateway(tmp_path, answer_part, GWCTL_LIMITS_COLLECTED="65536") as (gw, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await gw.chat()
        [row] = await gw.rows(1)
    assert row["outcome"] == Outcome.FAILED


async def test_a_body_too_large_is_a_413(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well, GWCTL_LIMITS_BODY="1000") as (gw, [provider]):
        response = await gw.chat(padding="x" * 2000)
    assert response.status_code == 413
    assert not provider.seen


async def test_the_models_of_an_upstream_are_its_own_list_without_routes(tmp_path: Path) -> None:
    async def models(seen: Seen, line: Line) -> None:
        await line.answer(
            200, {"object": "list", "data": [{"id": "m", "object": "model"}, {"id": "n", "object": "model"}]}
        )

    async with gateway(tmp_path, models) as (gw, [provider]):
        everything = await gw.client.get("/v1/models", headers=gw.headers())
        narrow = gw.new_key("narrow", models=("m*",))
        some = await gw.client.get("/v1/models", headers={"authorization": f"Bearer {narrow}"})
    assert [m["id"] for m in everything.json()["data"]] == ["m", "n"]
    assert [m["id"] for m in some.json()["data"]] == ["m"]
    assert provider.seen[0].path == "/v1/models"


async def test_lists_of_models_and_counts_of_tokens_are_known_to_cost_nothing(tmp_path: Path) -> None:
    async def answer(seen: Seen, line: Line) -> None:
        await line.answer(200, {"object": "list", "data": []} if seen.method == "GET" else {"input_tokens": 12})

    home = new_home(tmp_path / "home")
    async with Provider(answer).running() as provider:
        add_upstream(home, "claude", provider.url, "anthropic")
        async with running(home) as gw:
            listed = await gw.client.get("/v1/models", headers=gw.headers())
            assert listed.status_code == 200, listed.text
            counted = await gw.client.post("/v1/messages/count_tokens", json={"model": "m"}, headers=gw.headers())
            rows = await gw.rows(2)
    assert counted.json() == {"input_tokens": 12}
    assert [(r["outcome"], r["input"], r["output"], r["cost_pico"]) for r in rows] == [(Outcome.SERVED, 0, 0, 0)] * 2


async def test_an_answer_that_could_not_be_booked_is_a_503_and_is_not_charged(tmp_path: Path) -> None:
    async def break_the_ledger(seen: Seen, line: Line) -> None:
        with gw.home.database.write() as tx:
            tx.exec_driver_sql("ALTER TABLE attempts RENAME TO gone")
        await answer_well(seen, line)

    async with gateway(tmp_path, break_the_ledger) as (gw, _):
        response = await gw.chat()
        with gw.home.database.write() as tx:
            tx.exec_driver_sql("ALTER TABLE gone RENAME TO attempts")
        [row] = await gw.rows(1)
    assert response.status_code == 503
    assert (row["outcome"], row["error_code"]) == (Outcome.FAILED, "not_delivered")
    assert (row["cost_pico"], row["charge_pico"]) == (13 * 10**6, 0)


async def test_a_header_that_cannot_be_sent_leaves_no_row_behind(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        twice = [("authorization", f"Bearer {gw.key}"), ("anthropic-version", "1"), ("anthropic-version", "2")]
        response = await gw.client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=twice)
        with gw.home.database.read() as tx:
            assert tx.exec_driver_sql("SELECT count(*) FROM open_attempts").scalar_one() == 0
    assert response.status_code == 400


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    async def elsewhere(seen: Seen, line: Line) -> None:
        await line.answer(307, {}, "location: http://169.254.169.254/")

    async with gateway(tmp_path, elsewhere) as (gw, [provider]):
        response = await gw.chat()
        [row] = await gw.rows(1)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_redirected")
    assert "location" not in response.headers
    assert (len(provider.seen), row["outcome"]) == (1, Outcome.FAILED)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("responses", {"previous_response_id": "resp_1", "input": "x"}),
        ("responses", {"conversation": {"id": "conv_1"}, "input": "x"}),
        ("responses", {"prompt": {"id": "pmpt_1"}}),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}),
        ("responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
        ("responses", {"input": "x", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}),
        ("responses", {"input": "x", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}),
        ("responses", {"input": "x", "background": True}),
        ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}),
    ],
)
async def test_a_default_key_cannot_refer_to_what_is_stored_at_the_provider(
    tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    """P13: objects in the provider account would be shared between tenants."""
    text = json.dumps({"model": "m", **body})
    disguised = text.replace("_id", "\\u005fid")
    async with gateway(tmp_path, answer_well) as (gw, [provider]):
        for content in (text, disguised):
            headers = gw.headers(content_type="application/json")
            response = await gw.client.post(f"/v1/{path}", content=content, headers=headers)
            assert response.status_code == 403, content
        assert not provider.seen
        headers["authorization"] = f"Bearer {gw.new_key('everything', endpoints=('all',), isolation=False)}"
        opened = await gw.client.post(f"/v1/{path}", content=text, headers=headers)
    assert opened.status_code == 200


async def test_a_tool_may_well_have_an_argument_called_file_id(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}}, "required": ["file_id"]}
    tool = {"type": "function", "function": {"name": "open", "parameters": schema}}
    async with gateway(tmp_path, answer_well) as (gw, _):
        assert (await gw.chat(tools=[tool], previous_response_id=None)).status_code == 200


async def test_a_provider_that_only_pings_fills_no_memory(tmp_path: Path) -> None:
    """What is held back for a possible other target is bounded; beyond it the client takes it at its own pace."""
    enough = 32 * 1024 * 1024  # the sockets' own buffers take some

    async def ping(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        sent = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while sent < 16 * enough:
                    await line.piece(b": " + b"p" * 60_000 + b"\n\n")
                    sent += 60_000
        pinged.set_result(sent)
        await line.left()

    pinged: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with gateway(tmp_path, ping) as (gw, _):
        host, port = gw.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"model": "m", "stream": True, "messages": []})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {gw.key}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        assert await pinged < enough
        assert (await reader.readline()).startswith(b"HTTP/1.1 200"), "it was committed, not dropped"
        writer.transport.abort()


async def test_a_credential_echoed_as_a_request_id_is_not_kept(tmp_path: Path) -> None:
    async def echo(seen: Seen, line: Line) -> None:
        await line.answer(200, completion() | {"id": UPSTREAM_SECRET}, f"x-request-id: {UPSTREAM_SECRET}")

    async with gateway(tmp_path, echo) as (gw, _):
        response = await gw.chat()
        [row] = await gw.rows(1)
    assert row["provider_request_id"] is None
    assert UPSTREAM_SECRET not in str(response.headers)


async def test_anthropic_clients_get_errors_in_their_own_shape(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        response = await gw.client.post("/v1/messages", json={"model": "m"}, headers={"x-api-key": "sk-gw_live_wrong"})
        unspoken = await gw.client.post(
            "/v1/messages", json={"model": "m", "max_tokens": 1}, headers={"x-api-key": gw.key}
        )
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert (unspoken.status_code, unspoken.json()["type"]) == (404, "error")


async def test_the_admin_listener_tells_health_and_metrics(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        await gw.chat()
        async with httpx.AsyncClient(base_url=gw.admin, trust_env=False, verify=False) as admin:
            assert (await admin.get("/healthz")).json() == {"status": "ok"}
            assert (await admin.get("/readyz")).status_code == 200
            text = (await admin.get("/metrics")).text
    assert 'gateway_attempts_total{model="m",outcome="served",upstream="up0"} 1.0' in text
    assert 'gateway_tokens_total{kind="input",model="m",upstream="up0"} 7.0' in text


async def test_draining_finishes_what_is_under_way(tmp_path: Path) -> None:
    going = asyncio.Event()

    async def slow(seen: Seen, line: Line) -> None:
        going.set()
        await asyncio.sleep(0.3)
        await answer_well(seen, line)

    async with Provider(slow).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up0", provider.url)
        headers = {"authorization": f"Bearer {home.keys.create('tester').secret.reveal()}"}
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            async with serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, _):
                post = client.post(f"{url}/v1/chat/completions", json={"model": "m"}, headers=headers)
                under_way = asyncio.create_task(post)
                await going.wait()
            assert (await under_way).status_code == 200
        home.close()


async def test_policy_and_projects_of_the_caller_are_on_the_row(tmp_path: Path) -> None:
    async with gateway(tmp_path, answer_well) as (gw, _):
        minted = gw.home.keys.create("web", project="acme/web", create_missing=True, policy=Policy())
        await gw.chat(key=minted.secret.reveal())
        [row] = await gw.rows(1)
    assert row["key_id"] == minted.key.id
    assert row["generation"] == 1


@pytest.mark.parametrize(("stream", "key", "status"), [(False, None, 200), (True, None, 200), (False, "none", 401)])
async def test_a_request_leaves_nothing_to_the_collector_of_cycles(
    tmp_path: Path, stream: bool, key: str | None, status: int
) -> None:
    async with gateway(tmp_path, stream_well if stream else answer_well) as (gw, _):
        gc.collect()  # what other tests have left
        gc.disable()
        try:
            for _ in range(3):
                assert (await gw.chat(stream=stream, key=key)).status_code == status
            left = [each for each in gc.get_objects() if isinstance(each, Call)]
        finally:
            gc.enable()
    assert len(left) <= 1, "the last may still be in the hands of its connection"
