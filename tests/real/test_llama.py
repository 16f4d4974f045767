"""A real llama.cpp server as the provider: nobody here wrote it, so its counts and its habits are the judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest

from keyvault.domain.providers import preset
from tests.gateway import Gateway, serving
from tests.real.tiny_llama import MODEL, SECRET
from tests.real.waiting import eventually

HELLO: Any = [{"role": "user", "content": "hello world and the others"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, llama: str) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path_factory.mktemp("llama-gateway"))
    gateway.create_upstream("llama", "llamacpp", f"{llama}/v1", SECRET)
    with serving(gateway):
        yield gateway


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.base_url, api_key=gateway.create_key("client"), max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def messages_client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.origin, api_key=gateway.create_key("messages"), max_retries=0) as client:
        yield client


def newest(gateway: Gateway) -> dict[str, Any]:
    return gateway.requests(1)[-1]


def counts(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["outcome"], row["basis"], row["input_tokens"], row["output_tokens"]


def test_the_preset_passes_its_test_call(gateway: Gateway) -> None:
    told = gateway.json("upstreams", "test", "llama", "--model", MODEL)
    assert told["ok"] is True
    assert (preset("llamacpp").verified or "").startswith("llama.cpp server, 20")  # said because of this test


def test_the_counts_of_a_chat_are_what_the_server_reports(gateway: Gateway, client: openai.OpenAI) -> None:
    usage = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=12).usage
    assert usage is not None
    assert counts(newest(gateway)) == ("served", "provider", usage.prompt_tokens, usage.completion_tokens)


def test_cached_input_is_what_the_server_reports(gateway: Gateway, client: openai.OpenAI) -> None:
    for _ in range(2):
        usage = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=4).usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens
    assert newest(gateway)["cached_input_tokens"] == usage.prompt_tokens_details.cached_tokens


def test_the_counts_of_a_streamed_chat_are_what_the_server_reports(gateway: Gateway, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    usage = [event.usage for event in stream][-1]
    assert usage is not None
    assert counts(newest(gateway)) == ("served", "provider", usage.prompt_tokens, usage.completion_tokens)


def test_a_client_that_did_not_ask_for_usage_gets_none_and_is_counted_all_the_same(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=12, stream=True, extra_body={"ignore_eos": True}
    )
    assert [event.usage for event in stream if event.usage] == []
    row = newest(gateway)
    assert counts(row)[:2] == ("served", "provider")
    assert row["output_tokens"] == 12


def test_the_counts_of_messages_are_what_the_server_reports(
    gateway: Gateway, messages_client: anthropic.Anthropic
) -> None:
    usage = messages_client.messages.create(model=MODEL, messages=HELLO, max_tokens=12).usage
    cached = usage.cache_read_input_tokens or 0
    assert counts(newest(gateway)) == ("served", "provider", usage.input_tokens + cached, usage.output_tokens)
    assert newest(gateway)["cached_input_tokens"] == cached


def test_the_counts_of_streamed_messages_are_what_the_server_reports(
    gateway: Gateway, messages_client: anthropic.Anthropic
) -> None:
    with messages_client.messages.stream(model=MODEL, messages=HELLO, max_tokens=12) as stream:
        usage = stream.get_final_message().usage
    cached = usage.cache_read_input_tokens or 0
    assert counts(newest(gateway)) == ("served", "provider", usage.input_tokens + cached, usage.output_tokens)


def test_a_request_longer_than_the_context_is_the_server_s_own_error(gateway: Gateway, client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "the end and " * 20_000}]
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=MODEL, messages=messages)
    assert newest(gateway)["status"] == 400


def test_it_stops_generating_when_the_client_leaves(gateway: Gateway, client: openai.OpenAI, llama: str) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=12_000, stream=True, extra_body={"ignore_eos": True}
    )
    next(iter(stream))
    assert generating(llama) == 1

    stream.close()

    eventually(lambda: generating(llama) == 0, within=2)
    row = eventually(lambda: newest(gateway) if newest(gateway)["outcome"] == "aborted" else None)
    assert row["basis"] in ("tokenizer", "estimate")
    assert 0 < row["output_tokens"] < 12_000


def generating(llama: str) -> int:
    """How many requests the server works on now, by its own word."""
    told = httpx.get(
        f"{llama}/metrics", headers={"authorization": f"Bearer {SECRET}"}, trust_env=False, verify=False
    ).text
    line = next(line for line in told.splitlines() if line.startswith("llamacpp:requests_processing "))
    return int(line.split()[1])


def test_two_ways_to_the_same_model_are_compared_by_what_the_server_counts(gateway: Gateway, tmp_path: Path) -> None:
    asked = {"max_tokens": 8, "temperature": 0, "expected": {"regex": "."}}
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"hello world {n}", **asked}) + "\n" for n in range(3)))
    before = len(gateway.requests())
    told = gateway.json("compare", str(prompts), "--models", f"{MODEL},llama/{MODEL}")
    rows = gateway.requests()[before:]
    named, pinned = told["models"]
    assert (named["answered"], pinned["answered"], pinned["targets"]) == (3, 3, [f"llama/{MODEL}"])
    assert named["output_tokens"] + pinned["output_tokens"] == sum(row["output_tokens"] for row in rows)
    assert named["input_tokens"] == pinned["input_tokens"]
    assert 0 < named["first_content_ms"] <= named["total_ms"]
    assert (named["cost"], named["unknown_costs"]) == (None, 3)  # nobody has set a price
    assert [each["verdict"] for each in told["differences"] if each["measure"] == "expected"] == ["unclear"]


def test_an_alias_on_a_real_server_is_proved(gateway: Gateway, llama: str, tmp_path: Path) -> None:
    for name in ("left", "right"):
        gateway.create_upstream(name, "llamacpp", f"{llama}/v1", SECRET)
        gateway.set_price(f"{name}/{MODEL}")
    gateway.run("routes", "set", "ready", f"left/{MODEL}", f"right/{MODEL}")
    file = tmp_path / "staging.toml"
    file.write_text(
        f"""
        [check]
        only = ["models", "chat", "chat-stream"]
        [drill]
        faults = ["cut"]
        requests = 2
        [quota]
        [spend]
        [keys]
        [rollout]
        to = "right/{MODEL}"
        requests = 40
        """
    )
    told = gateway.json("readiness", "ready", "-f", str(file))
    assert (told["verdict"], {step["name"] for step in told["steps"] if step["verdict"] != "passed"}) == (
        "ready so far",
        {"replay", "compare"},
    )
    assert {route["alias"] for route in gateway.json("routes", "list")["routes"]} == {"ready"}
