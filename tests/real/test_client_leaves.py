"""When a client leaves in mid-stream, the provider's call ends at once and what was produced is on record."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from opsconsole.staging.simulation.behaviours import FEW_TOKENS
from opsconsole.staging.simulation.counts import Ending, Seen
from opsconsole.staging.simulator import Simulator
from tests.gateway import Gateway
from tests.real.waiting import eventually

HELLO: Any = [{"role": "user", "content": "say hello to the gateway, and take your time"}]


def ask_chat(gateway: Gateway, secret: str) -> Any:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0)
    return client.chat.completions.create(model="sim-stall", messages=HELLO, stream=True)


def ask_responses(gateway: Gateway, secret: str) -> Any:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0)
    return client.responses.create(model="sim-stall", input="hello there", stream=True)


def ask_messages(gateway: Gateway, secret: str) -> Any:
    client = anthropic.Anthropic(base_url=gateway.origin, api_key=secret, max_retries=0)
    return client.messages.create(model="sim-stall", messages=HELLO, max_tokens=100, stream=True)


@pytest.mark.parametrize("ask", [ask_chat, ask_responses, ask_messages])
def test_a_stream_that_is_given_up_is_cancelled_and_counted(
    ask: Any, gateway: Gateway, secret: str, simulator: Simulator
) -> None:
    stream = ask(gateway, secret)
    request_id = stream.response.headers["x-request-id"]
    next(iter(stream))
    seen = eventually(lambda: attempt_of(simulator, request_id))
    eventually(lambda: seen.output_tokens == FEW_TOKENS)
    assert seen.ending is Ending.RUNNING

    stream.close()

    eventually(lambda: seen.ending is Ending.CANCELLED)
    row = eventually(lambda: settled(gateway, request_id))
    assert row["outcome"] == "aborted"
    assert row["basis"] in ("tokenizer", "estimate")
    assert row["input_tokens"] > 0
    assert 1 <= row["output_tokens"] <= 2 * FEW_TOKENS


def test_a_request_given_up_before_any_answer_is_cancelled_too(
    gateway: Gateway, secret: str, simulator: Simulator
) -> None:
    client = openai.OpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0, timeout=0.3)
    before = len(simulator.counts.requests)
    with client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="sim-hang", messages=HELLO)
    seen = simulator.counts.requests[before]
    eventually(lambda: seen.ending is Ending.CANCELLED)
    request_id = (seen.client_request_id or "").rpartition("-")[0]
    assert eventually(lambda: settled(gateway, request_id))["outcome"] == "aborted"


def attempt_of(simulator: Simulator, request_id: str) -> Seen | None:
    return next((s for s in simulator.counts.requests if s.client_request_id == f"{request_id}-1"), None)


def settled(gateway: Gateway, request_id: str) -> dict[str, Any] | None:
    return next((row for row in gateway.requests() if row["request_id"] == request_id), None)
