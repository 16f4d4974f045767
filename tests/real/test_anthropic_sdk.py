"""The official Anthropic SDK, unmodified: what it sees through the gateway is what it sees without it."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from tests.gateway import Gateway
from tests.real.conftest import Sides

HELLO: Any = [{"role": "user", "content": "say hello to the gateway"}]
ASK: dict[str, Any] = {"model": "sim", "max_tokens": 100, "messages": HELLO}
WEATHER = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}


def streamed(client: Any, **options: Any) -> Any:
    """Every event of a stream, and the message they add up to."""
    with client.messages.stream(**(ASK | options)) as stream:
        events = [event.model_dump() for event in stream]
        return events, stream.get_final_message().model_dump()


def test_a_message_is_the_same(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**ASK, system="be brief"))
    assert gateway == direct
    assert gateway.content[0].text


def test_cached_input_is_told_the_same(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**(ASK | {"model": "sim-cached"})))
    assert gateway == direct
    assert gateway.usage.cache_read_input_tokens > 0


def test_a_capped_message_stops_the_same(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**(ASK | {"max_tokens": 4})))
    assert gateway == direct
    assert gateway.stop_reason == "max_tokens"


@pytest.mark.parametrize("model", ["sim", "sim-reasoning", "sim-cached", "sim-empty", "sim-nousage"])
def test_a_streamed_message_has_the_same_events(anthropic_sides: Sides, model: str) -> None:
    direct, gateway = anthropic_sides.both(lambda c: streamed(c, model=model))
    assert gateway == direct


def test_tool_use_is_the_same_whole_and_streamed(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**ASK, tools=[WEATHER]))
    assert gateway == direct
    assert gateway.content[0].name == "weather"
    direct, gateway = anthropic_sides.both(lambda c: streamed(c, tools=[WEATHER]))
    assert gateway == direct
    assert gateway[1]["content"][0]["input"]["city"]


def test_counting_tokens_is_the_same(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.count_tokens(model="sim", messages=HELLO))
    assert gateway == direct


def test_a_prompt_of_a_megabyte_is_answered_the_same(anthropic_sides: Sides) -> None:
    messages = [{"role": "user", "content": "ü long prompt " * 70_000}]
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**(ASK | {"messages": messages})))
    assert gateway == direct


@pytest.mark.parametrize("behaviour", ["400", "403", "413", "429", "500", "529"])
@pytest.mark.parametrize(
    "ask", [lambda c, m: c.messages.create(**(ASK | {"model": m})), lambda c, m: streamed(c, model=m)]
)
def test_a_provider_s_error_is_raised_the_same(anthropic_sides: Sides, behaviour: str, ask: Any) -> None:
    direct, gateway = anthropic_sides.both(lambda c: ask(c, f"sim-{behaviour}"))
    assert gateway == direct
    assert issubclass(gateway[0], anthropic.APIStatusError)


@pytest.mark.parametrize("behaviour", ["error", "early-error"])
def test_an_error_event_ends_a_stream_the_same(anthropic_sides: Sides, behaviour: str) -> None:
    direct, gateway = anthropic_sides.both(lambda c: streamed(c, model=f"sim-{behaviour}"))
    assert gateway == direct


def test_a_stream_the_provider_cuts_raises_an_error_that_the_sdk_understands(anthropic_sides: Sides) -> None:
    with pytest.raises(anthropic.APIError) as raised:
        streamed(anthropic_sides.gateway, model="sim-cut")
    assert raised.value.message


def test_a_model_the_provider_does_not_have_raises_the_same(anthropic_sides: Sides) -> None:
    direct, gateway = anthropic_sides.both(lambda c: c.messages.create(**(ASK | {"model": "nonesuch"})))
    assert gateway == direct
    assert gateway[0] is anthropic.NotFoundError


def test_a_wrong_key_raises_an_authentication_error(gateway: Gateway) -> None:
    key = "sk-gw_test_000000000000_00000000000000000000000000000000000000000001rMNQM"
    client = anthropic.Anthropic(base_url=gateway.origin, api_key=key, max_retries=0)
    with client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(**ASK)
