"""What a customer cannot pay for does not happen: requests against balances and hard budgets, in a whole gateway."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from keyvault.domain.budgets import Period
from keyvault.domain.prices import Rates, flat
from keyvault.domain.routes import Target
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.metering.budgets import Terms
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, chunk, completion
from tests.proxy.storing import Store

CUSTOMER = Scope(ScopeKind.CUSTOMER, "default")
MICRO = 10**6
"""Pico-dollars of a micro-dollar: a token of input costs one, of output two."""


async def answers(_: Seen, line: Line) -> None:
    await line.answer(200, completion())


@contextlib.asynccontextmanager
async def prepaid(tmp_path: Path, script: Any = answers, micro: int = 1000) -> AsyncIterator[tuple[Running, Provider]]:
    """A gateway whose only customer has so many micro-dollars."""
    async with Provider(script).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "up", provider.url)
        if micro:
            home.balances.top_up(CUSTOMER, micro * MICRO, "test")
        async with running(home) as gateway:
            yield gateway, provider


async def post(gateway: Running, path: str, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key or gateway.key}"}
    return await gateway.client.post(f"/v1/{path}", json=body, headers=headers)


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


TALK = {"messages": [{"role": "user", "content": "hi"}]}


async def test_a_cap_that_the_balance_does_not_cover_is_refused_with_the_one_it_covers(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        refused = await gateway.chat(max_tokens=5000)
        assert error_of(refused) == (402, "insufficient_quota", "max_tokens")
        covered = int(refused.json()["error"]["message"].rpartition("=")[2])
        assert 400 < covered < 500
        assert provider.seen == []
        assert (await gateway.chat(max_tokens=covered + 4)).status_code == 402
        assert (await gateway.chat(max_tokens=covered)).status_code == 200


async def test_a_key_that_clamps_gets_the_cap_that_the_money_buys_and_is_told(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        key = gateway.new_key("clamping", clamp=True)
        answer = await gateway.chat(key=key, max_tokens=5000)
        field, _, cap = answer.headers["x-gateway-clamped"].partition("=")
        assert field == "max_tokens"
        assert provider.seen[0].json["max_tokens"] == int(cap) < 500


async def test_a_missing_cap_is_set_where_money_must_hold(tmp_path: Path) -> None:
    async with prepaid(tmp_path, micro=1_000_000) as (gateway, provider):
        answer = await gateway.chat()
        assert answer.headers["x-gateway-clamped"] == "max_completion_tokens=4096"
        assert provider.seen[0].json["max_completion_tokens"] == 4096


async def test_requests_without_a_cap_leave_money_to_each_other(tmp_path: Path) -> None:
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def waits(_: Seen, line: Line) -> None:
        arrived.release()
        await go_on.wait()
        await line.answer(200, completion())

    async with prepaid(tmp_path, waits, micro=50_000) as (gateway, _):
        calls = [asyncio.create_task(gateway.chat()) for _ in range(12)]
        for _ in calls:
            await arrived.acquire()
        go_on.set()
        assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}


async def test_nothing_is_set_or_told_where_no_money_must_hold(tmp_path: Path) -> None:
    async with prepaid(tmp_path, micro=0) as (gateway, provider):
        gateway.home.budgets.set(CUSTOMER, Terms(MICRO, Period.DAY, hard=False))
        answer = await gateway.chat()
        assert answer.status_code == 200
        assert "x-gateway-clamped" not in answer.headers
        assert "max_completion_tokens" not in provider.seen[0].json


async def test_a_hard_budget_refuses_as_a_balance_does(tmp_path: Path) -> None:
    async with prepaid(tmp_path, micro=0) as (gateway, provider):
        gateway.home.budgets.set(CUSTOMER, Terms(100 * MICRO, Period.DAY))
        refused = await gateway.chat(max_tokens=1000)
        assert error_of(refused)[:2] == (402, "insufficient_quota")
        assert "the budget of customer:default" in refused.text
        assert provider.seen == []


URL_IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]
UNBOUNDED = [
    ("chat/completions", {"messages": URL_IMAGE, "max_tokens": 5}, "image_url"),
    ("chat/completions", {**TALK, "max_tokens": 5, "web_search_options": {}}, "web_search_options"),
    ("responses", {"input": "hi", "max_output_tokens": 20, "tools": [{"type": "web_search"}]}, "tools"),
    ("responses", {"input": "hi", "max_output_tokens": 20, "service_tier": "priority"}, "service_tier"),
]


@pytest.mark.parametrize(("path", "body", "field"), UNBOUNDED)
async def test_what_has_no_bound_is_refused_unless_the_key_has_a_bound_of_its_own(
    tmp_path: Path, path: str, body: dict[str, Any], field: str
) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        refused = await post(gateway, path, {"model": "m", **body})
        assert error_of(refused) == (402, "cost_not_bounded", field)
        assert provider.seen == []
        bounded = gateway.new_key("bounded", bound_pico=900 * MICRO)
        assert (await post(gateway, path, {"model": "m", **body}, bounded)).status_code == 200
        [row] = await gateway.rows(1)
        assert row["hold_pico"] == 900 * MICRO
        dear = gateway.new_key("dear", bound_pico=2000 * MICRO)
        refused = await post(gateway, path, {"model": "m", **body}, dear)
        assert error_of(refused)[:2] == (402, "insufficient_quota")


async def test_a_bound_of_the_keys_own_never_replaces_what_is_known(tmp_path: Path) -> None:
    image = {"model": "m", "messages": URL_IMAGE}
    async with prepaid(tmp_path) as (gateway, provider):
        key = gateway.new_key("bounded", bound_pico=400 * MICRO)
        refused = await post(gateway, "chat/completions", {**image, "max_tokens": 5000}, key)
        assert error_of(refused)[:2] == (402, "insufficient_quota")
        assert provider.seen == []
        dearer = await post(gateway, "chat/completions", {**image, "max_tokens": 300}, key)
        assert dearer.status_code == 200
        [row] = await gateway.rows(1)
        assert row["hold_pico"] > 600 * MICRO, "the cap is dearer than the bound"
        assert (await post(gateway, "chat/completions", image, key)).status_code == 200
        size = len(json.dumps(image, separators=(",", ":")))
        assert abs(provider.seen[1].json["max_completion_tokens"] - (400 - size) // 2) <= 1, "what the bound buys"


async def test_a_bound_of_the_keys_own_is_held_anew_for_the_next_target(tmp_path: Path) -> None:
    async def breaks(_: Seen, line: Line) -> None:
        line.cut()

    async with Provider(breaks).running() as first, prepaid(tmp_path) as (gateway, second):
        add_upstream(gateway.home, "first", first.url)
        gateway.home.routes.set("m", [Target("first", "m"), Target("up", "m")])
        key = gateway.new_key("bounded", bound_pico=900 * MICRO)
        answer = await post(gateway, "chat/completions", {"model": "m", "messages": URL_IMAGE, "max_tokens": 5}, key)
        assert answer.status_code == 502
        assert second.seen == [], "900 of 1000 are in doubt"


async def test_a_fallback_is_held_at_the_price_that_it_has_by_then(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):

        async def breaks(_: Seen, line: Line) -> None:
            dear = Rates(input=flat(50 * 10**12), output=flat(50 * 10**12))
            gateway.home.prices.set_own("up", "m", dear)
            await gateway.client.get("/v1/models", headers=gateway.headers())  # has the gateway look
            line.cut()

        async with Provider(breaks).running() as first:
            add_upstream(gateway.home, "first", first.url)
            gateway.home.routes.set("m", [Target("first", "m"), Target("up", "m")])
            assert (await gateway.chat(max_tokens=20)).status_code == 502
            assert provider.seen == []


async def test_a_customer_who_pays_nothing_needs_no_cap(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        gateway.home.customers.update("default", multiplier=Decimal(0))
        answer = await gateway.chat()
        assert answer.status_code == 200
        assert provider.seen[0].json["max_completion_tokens"] == 4096


async def test_a_model_without_a_price_is_refused_where_money_must_hold(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        refused = await gateway.chat(model="unpriced", max_tokens=5)
        assert error_of(refused) == (402, "cost_not_bounded", "model")
        assert provider.seen == []


async def test_the_next_target_is_held_for_anew_after_what_the_first_may_have_taken(tmp_path: Path) -> None:
    async def breaks(_: Seen, line: Line) -> None:
        line.cut()

    async with Provider(breaks).running() as first, prepaid(tmp_path, micro=700) as (gateway, second):
        add_upstream(gateway.home, "first", first.url)
        gateway.home.routes.set("m", [Target("first", "m"), Target("up", "m")])
        answer = await gateway.chat(max_tokens=100)  # at most 200 of output, and some 70 of input
        assert answer.status_code == 200
        rows = await gateway.rows(2)
        assert [row["charge_pico"] for row in rows] == [0, 13 * MICRO]
        assert rows[0]["doubt_pico"] == rows[0]["hold_pico"] > 200 * MICRO
        answer = await gateway.chat(max_tokens=150)  # the doubt of its first attempt leaves nothing for a second
        assert answer.status_code == 502
        assert len(second.seen) == 1


async def test_a_stream_that_goes_on_beyond_its_hold_is_ended_as_its_dialect_ends(tmp_path: Path) -> None:
    async def endless(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        with contextlib.suppress(ConnectionError):
            while True:
                await line.event(chunk({"content": " word" * 20}))
                await asyncio.sleep(0)

    async with prepaid(tmp_path, endless) as (gateway, provider):
        client = openai.AsyncOpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0)
        async with client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=200, stream=True
            )
            finishes = [each.choices[0].finish_reason async for each in stream if each.choices]
        assert finishes[-1] == "length"
        await asyncio.wait_for(provider.lines[0].left(), 5)
        [row] = await gateway.rows(1)
        assert (row["outcome"], row["error_code"]) == (1, "hold_reached")
        assert row["charge_pico"] <= row["hold_pico"]
        assert row["output"] < 2 * 200


async def test_responses_and_messages_end_at_their_hold_as_their_sdks_expect(tmp_path: Path) -> None:
    async def endless(seen: Seen, line: Line) -> None:
        await line.begin_stream()
        typed = RESPONSE_EVENTS if seen.path.endswith("responses") else MESSAGE_EVENTS
        with contextlib.suppress(ConnectionError):
            for event in itertools.chain(typed, itertools.repeat(typed[-1])):
                await line.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                await asyncio.sleep(0)

    async with prepaid(tmp_path, endless, micro=100_000) as (gateway, provider):
        add_upstream(gateway.home, "any", provider.url, "custom")
        gateway.home.routes.set("m", [Target("any", "m")])
        async with (
            openai.AsyncOpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0) as client,
            client.responses.stream(model="m", input="hi", max_output_tokens=100) as events,
        ):
            last = [event async for event in events][-1]
        assert last.type == "response.incomplete"
        response = last.response
        assert response.incomplete_details is not None
        assert response.incomplete_details.reason == "max_output_tokens"
        assert response.output_text.startswith(" word word")
        async with anthropic.AsyncAnthropic(api_key=gateway.key, base_url=gateway.url, max_retries=0) as claude:
            asked: Any = {"model": "m", "max_tokens": 100, **TALK}
            async with claude.messages.stream(**asked) as stream:
                message = await stream.get_final_message()
        assert message.stop_reason == "max_tokens"
        assert 100 <= message.usage.output_tokens < 200
        rows = await gateway.rows(2)
        assert [row["error_code"] for row in rows] == ["hold_reached"] * 2
        assert [100 <= row["output"] < 200 for row in rows] == [True, True]


WORDS = " word" * 10
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True,
    "tool_choice": "auto", "tools": [], "status": "in_progress",
}  # fmt: skip
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
RESPONSE_EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM},
    {"type": "response.content_part.added", "sequence_number": 2, **PLACE,
     "part": {"type": "output_text", "text": "", "annotations": []}},
    {"type": "response.output_text.delta", "sequence_number": 3, **PLACE, "delta": WORDS, "logprobs": []},
]  # fmt: skip
MESSAGE_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}},
]  # fmt: skip


async def test_sdks_raise_what_they_raise_for_an_empty_account(tmp_path: Path) -> None:
    async with prepaid(tmp_path, micro=1) as (gateway, _):
        async with openai.AsyncOpenAI(api_key=gateway.key, base_url=f"{gateway.url}/v1", max_retries=0) as client:
            with pytest.raises(openai.APIStatusError) as raised:
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert (raised.value.status_code, raised.value.code, raised.value.type) == (402, *["insufficient_quota"] * 2)
        async with anthropic.AsyncAnthropic(api_key=gateway.key, base_url=gateway.url, max_retries=0) as claude:
            with pytest.raises(anthropic.APIStatusError) as refused:
                await claude.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
        assert refused.value.status_code in (402, 404)


async def test_what_costs_nothing_passes_whatever_is_left(tmp_path: Path) -> None:
    async with prepaid(tmp_path, micro=1) as (gateway, _):
        listed = await gateway.client.get("/v1/models", headers=gateway.headers())
        assert listed.status_code == 200


async def test_an_answer_whose_client_left_is_charged_unless_the_key_says_free(tmp_path: Path) -> None:
    async def begins(_: Seen, line: Line) -> None:
        await line.begin_stream()
        await line.event(chunk({"content": "one two three four five"}))
        await line.left()

    async with prepaid(tmp_path, begins, micro=100_000) as (gateway, _):
        for key in (gateway.key, gateway.new_key("free", free_aborts=True)):
            headers, body = (
                {"authorization": f"Bearer {key}"},
                {"model": "m", "stream": True, "max_tokens": 900, **TALK},
            )
            async with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
                async for _ in answer.aiter_lines():
                    break
        charged, free = await gateway.rows(2)
        assert charged["charge_pico"] == charged["cost_pico"] > 0
        assert free["charge_pico"] == 0
        assert free["doubt_pico"] > free["cost_pico"]
        assert 0 < charged["doubt_pico"] < charged["hold_pico"]
        assert free["error_code"] == "client_left"


@pytest.mark.parametrize("path", ["containers", "vector_stores"])
async def test_what_is_paid_for_while_it_is_kept_is_refused_unless_the_key_has_a_bound(
    tmp_path: Path, path: str
) -> None:
    async def made(_: Seen, line: Line) -> None:
        await line.answer(200, {"id": "cntr_1", "object": path})

    async with prepaid(tmp_path, made) as (gateway, provider):
        keeping = gateway.new_key("keeping", endpoints=("all",))
        assert error_of(await post(gateway, path, {"name": "x"}, keeping))[:2] == (402, "cost_not_bounded")
        assert provider.seen == []
        bounded = gateway.new_key("bounded", endpoints=("all",), bound_pico=900 * MICRO)
        assert (await post(gateway, path, {"name": "x"}, bounded)).status_code == 200


FILE = {"file_id": "FILE"}
KEPT: list[tuple[str, dict[str, Any]]] = [
    ("vector_stores/STORE/files", FILE),
    ("vector_stores/STORE", {"expires_after": None}),
    ("assistants", {"model": "m", "tool_resources": {"file_search": {"vector_stores": [{"file_ids": ["FILE"]}]}}}),
    ("threads", {"tool_resources": {"file_search": {"vector_stores": [{"file_ids": ["FILE"]}]}}}),
    ("threads", {"messages": [{"role": "user", "content": "x", "attachments": [FILE]}]}),
    ("threads/THREAD/messages", {"role": "user", "content": "x", "attachments": [FILE]}),
]
NOT_KEPT: list[tuple[str, dict[str, Any]]] = [
    ("assistants", {"model": "m", "tool_resources": {"file_search": {"vector_store_ids": ["STORE"]}}}),
    ("threads/THREAD/messages", {"role": "user", "content": 'the words "attachments" and "vector_stores"'}),
]


async def test_what_is_put_into_a_vector_store_is_refused_unless_the_key_has_a_bound(tmp_path: Path) -> None:
    account = Store()
    async with account.provider.running() as provider:
        home = new_home(tmp_path / "home", {"GWCTL_SERVE_DEFAULT_UPSTREAM": "up"})
        add_upstream(home, "up", provider.url)
        home.balances.top_up(CUSTOMER, 10_000 * MICRO, "test")
        async with running(home) as gateway:
            key, bounded = (gateway.new_key(f"of-{b}", endpoints=("all",), bound_pico=b) for b in (None, 100 * MICRO))
            made = {}
            for name, path in {"FILE": "files", "STORE": "vector_stores", "THREAD": "threads"}.items():
                made[name] = (await post(gateway, path, {"purpose": "batch"}, bounded)).json()["id"]

            async def ask(path: str, body: Mapping[str, Any], by: str) -> httpx.Response:
                text = json.dumps([path, body])
                for name, object_id in made.items():
                    text = text.replace(name, object_id)
                return await post(gateway, *json.loads(text), by)

            for path, body in KEPT:
                assert error_of(await ask(path, body, key))[:2] == (402, "cost_not_bounded"), (path, body)
                assert (await ask(path, body, bounded)).status_code == 200, (path, body)
            for path, body in NOT_KEPT:
                assert (await ask(path, body, key)).status_code == 200, (path, body)


async def test_a_model_that_searches_by_its_name_has_no_bound_though_it_has_a_price(tmp_path: Path) -> None:
    async with prepaid(tmp_path) as (gateway, provider):
        gateway.home.prices.set_own("up", "m:online", Rates(input=flat(10**12), output=flat(10**12)))
        gateway.home.routes.set("searching", [Target("up", "m:online")])
        assert error_of(await gateway.chat(model="searching", max_tokens=5)) == (402, "cost_not_bounded", "model")
        assert provider.seen == []
        bounded = gateway.new_key("bounded", bound_pico=900 * MICRO)
        assert (await gateway.chat(model="searching", max_tokens=5, key=bounded)).status_code == 200
