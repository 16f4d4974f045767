"""The simulated provider: the SDKs understand it, it counts exactly, and equal questions get equal answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from opsconsole.staging.simulation.counts import Ending
from opsconsole.staging.simulation.pace import Pace
from opsconsole.staging.simulation.profile import Profile
from opsconsole.staging.simulator import Simulator, running
from tests.real.waiting import eventually

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running(Profile(models=("sim",))) as [simulator]:
        yield simulator


@pytest.fixture
def client(simulator: Simulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.base_url, api_key="sk-sim", max_retries=0) as client:
        yield client


def test_its_count_is_what_the_client_was_told(simulator: Simulator, client: openai.OpenAI) -> None:
    told = [client.chat.completions.create(model="sim", messages=HELLO).usage for _ in range(3)]
    total = simulator.counts.by_model()["sim"]
    assert (total.requests, total.completed) == (3, 3)
    assert total.input_tokens == sum(usage.prompt_tokens for usage in told if usage)
    assert total.output_tokens == sum(usage.completion_tokens for usage in told if usage)


def test_a_token_is_four_bytes_of_input_and_a_message_three_tokens_more(client: openai.OpenAI) -> None:
    usage = client.chat.completions.create(model="sim", messages=HELLO).usage
    assert usage is not None
    assert usage.prompt_tokens == 2 + 3


def test_a_stream_carries_one_token_an_event(simulator: Simulator, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="sim", messages=HELLO, stream=True)
    pieces = [event.choices[0].delta.content for event in stream if event.choices[0].delta.content]
    assert simulator.counts.requests[0].output_tokens == len(pieces)
    whole = client.chat.completions.create(model="sim", messages=HELLO)
    assert "".join(pieces) == whole.choices[0].message.content


def test_a_client_that_leaves_is_noticed(simulator: Simulator, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="sim-stall", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    eventually(lambda: simulator.counts.requests[0].ending is Ending.CANCELLED)


def test_the_request_id_it_was_given_is_on_its_record(simulator: Simulator, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="sim", messages=HELLO, extra_headers={"x-client-request-id": "mine-1"})
    told = httpx.get(f"{simulator.origin}/simulator/counts", trust_env=False, verify=False).json()
    assert told["seen"][0]["client_request_id"] == "mine-1"
    assert told["models"]["sim"]["completed"] == 1


def test_equal_profiles_answer_equally_and_other_seeds_differently() -> None:
    answers = []
    for seed in (1, 1, 2):
        with running(Profile(seed=seed)) as [simulator], _client(simulator) as client:
            answers.append(client.chat.completions.create(model="sim", messages=HELLO))
    assert answers[0] == answers[1] != answers[2]


def test_failures_are_drawn_as_often_as_the_rates_say() -> None:
    with running(Profile(failures={"429": 0.5})) as [simulator], _client(simulator) as client:
        for _ in range(60):
            try:
                client.chat.completions.create(model="sim", messages=HELLO)
            except openai.RateLimitError:
                continue
        total = simulator.counts.by_model()["sim"]
    assert 15 <= total.failed <= 45
    assert total.failed + total.completed == 60


def test_a_mark_in_the_text_chooses_a_behaviour(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="sim", messages=[{"role": "user", "content": "please [sim:429]"}])


@pytest.mark.parametrize("behaviour", ["cut", "drop"])
def test_a_cut_answer_is_broken_and_counted_as_such(
    simulator: Simulator, client: openai.OpenAI, behaviour: str
) -> None:
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model=f"sim-{behaviour}", messages=HELLO)
    assert simulator.counts.requests[0].ending is Ending.CUT


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"{}", b'{"model": 7}', b'{"model": "sim", "messages": [1]}', b'{"model": "sim", "tools": 1}']
)
def test_a_malformed_request_is_a_400(simulator: Simulator, body: bytes) -> None:
    headers = {"authorization": "Bearer sk-sim"}
    url = f"{simulator.base_url}/chat/completions"
    assert httpx.post(url, content=body, headers=headers, trust_env=False, verify=False).status_code == 400


def test_it_keeps_the_pace_it_was_given() -> None:
    with running(Profile(pace=Pace(first_content_ms=50, tokens_per_second=200, spread=0))) as [simulator]:
        elapsed = asyncio.run(_timed(simulator))
    assert elapsed >= 0.05 + 9 / 200


async def _timed(simulator: Simulator) -> float:
    loop = asyncio.get_running_loop()
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="sk-sim") as client:
        await client.models.list()
        began = loop.time()
        await client.chat.completions.create(model="sim", messages=HELLO, max_tokens=9)
        return loop.time() - began


def test_a_schema_is_fulfilled_with_its_references_and_enumerations(client: openai.OpenAI) -> None:
    schema: Any = {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "inner": {"$ref": "#/$defs/inner"}, "none": {"type": "null"}},
        "$defs": {"inner": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "string"}]}}},
    }
    shape: Any = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}
    answer = client.chat.completions.create(model="sim", messages=HELLO, response_format=shape)
    value = json.loads(answer.choices[0].message.content or "")
    assert value["kind"] in ("a", "b")
    assert all(isinstance(number, float) for number in value["inner"])
    assert value["none"] is None


def _client(simulator: Simulator) -> openai.OpenAI:
    return openai.OpenAI(base_url=simulator.base_url, api_key="sk-sim", max_retries=0)
