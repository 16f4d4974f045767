"""The official OpenAI SDK, unmodified: what it sees through the gateway is what it sees without it."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest

from tests.gateway import Gateway
from tests.real.conftest import Sides

HELLO: Any = [{"role": "user", "content": "say hello to the gateway"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


class Plan(pydantic.BaseModel):
    title: str
    steps: list[str]
    hours: int


def events(stream: Any) -> list[dict[str, Any]]:
    with stream:
        return [event.model_dump() for event in stream]


def test_a_chat_answer_is_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: c.chat.completions.create(model="sim", messages=HELLO))
    assert gateway == direct
    assert gateway.choices[0].message.content


def test_several_choices_and_a_cap_are_kept(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.chat.completions.create(model="sim", messages=HELLO, n=3, max_tokens=5)
    )
    assert gateway == direct
    assert [choice.finish_reason for choice in gateway.choices] == ["length"] * 3


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["plain", "with usage"])
def test_a_streamed_chat_has_the_same_events(openai_sides: Sides, options: dict[str, Any]) -> None:
    direct, gateway = openai_sides.both(
        lambda c: events(c.chat.completions.create(model="sim", messages=HELLO, stream=True, **options))
    )
    assert gateway == direct
    assert any(event["usage"] for event in gateway) == bool(options)


def test_reasoning_passes_through(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: events(c.chat.completions.create(model="sim-reasoning", messages=HELLO, stream=True))
    )
    assert gateway == direct
    assert any(event["choices"][0]["delta"].get("reasoning_content") for event in gateway)


def test_tool_calls_are_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.chat.completions.create(model="sim", messages=HELLO, tools=[WEATHER])
    )
    assert gateway == direct
    assert gateway.choices[0].message.tool_calls[0].function.name == "weather"


def test_streamed_tool_calls_add_up_to_the_same(openai_sides: Sides) -> None:
    def ask(client: Any) -> Any:
        with client.chat.completions.stream(model="sim", messages=HELLO, tools=[WEATHER]) as stream:
            seen = [event.type for event in stream]
            return seen, stream.get_final_completion().choices[0].message.tool_calls

    direct, gateway = openai_sides.both(ask)
    assert gateway == direct
    assert gateway[1][0].function.arguments.startswith("{")


def test_an_answer_of_a_json_schema_is_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.chat.completions.parse(model="sim", messages=HELLO, response_format=Plan)
    )
    assert gateway == direct
    assert isinstance(gateway.choices[0].message.parsed, Plan)


def test_completions_are_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: c.completions.create(model="sim", prompt="once upon a time"))
    assert gateway == direct


def test_streamed_completions_have_the_same_events(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: events(c.completions.create(model="sim", prompt="once", stream=True)))
    assert gateway == direct


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_are_the_same(openai_sides: Sides, encoding: Any) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.embeddings.create(model="sim", input=["one", "two"], dimensions=256, encoding_format=encoding)
    )
    assert gateway == direct


def test_responses_are_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.responses.create(model="sim", input="hello", instructions="be brief")
    )
    assert gateway == direct
    assert gateway.output_text


def test_streamed_responses_have_the_same_events(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: events(c.responses.create(model="sim", input="hello", stream=True)))
    assert gateway == direct
    assert gateway[-1]["type"] == "response.completed"


def test_a_tool_call_in_responses_is_the_same_whole_and_streamed(openai_sides: Sides) -> None:
    ask = {"model": "sim", "input": "hello", "tools": [{"type": "function", **WEATHER["function"]}]}
    direct, gateway = openai_sides.both(lambda c: c.responses.create(**ask))
    assert gateway == direct
    assert gateway.output[0].name == "weather"
    direct, gateway = openai_sides.both(lambda c: events(c.responses.create(**ask, stream=True)))
    assert gateway == direct
    assert gateway[-1]["response"]["output"][0]["name"] == "weather"


def test_a_capped_response_stream_ends_incomplete(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: events(c.responses.create(model="sim", input="hello", stream=True, max_output_tokens=3))
    )
    assert gateway == direct
    assert gateway[-1]["type"] == "response.incomplete"


def test_a_parsed_response_is_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: c.responses.parse(model="sim", input="plan it", text_format=Plan))
    assert gateway == direct
    assert isinstance(gateway.output_parsed, Plan)


def test_a_prompt_of_a_megabyte_is_answered_the_same(openai_sides: Sides) -> None:
    messages = [{"role": "user", "content": "ü long prompt " * 70_000}]
    direct, gateway = openai_sides.both(lambda c: c.chat.completions.create(model="sim", messages=messages))
    assert gateway == direct
    assert gateway.usage.prompt_tokens > 260_000


def test_a_long_stream_arrives_whole(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(
        lambda c: events(c.chat.completions.create(model="sim-long", messages=HELLO, stream=True))
    )
    assert gateway == direct
    assert len(gateway) > 2000


def test_the_list_of_models_is_the_provider_s(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: [model.model_dump() for model in c.models.list()])
    assert gateway == direct


@pytest.mark.parametrize("behaviour", ["400", "403", "413", "429", "500", "503", "529"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_provider_s_error_is_raised_the_same(openai_sides: Sides, behaviour: str, stream: bool) -> None:
    direct, gateway = openai_sides.both(
        lambda c: c.chat.completions.create(model=f"sim-{behaviour}", messages=HELLO, stream=stream)
    )
    assert gateway == direct
    assert issubclass(gateway[0], openai.APIStatusError)


def test_a_model_the_provider_does_not_have_raises_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: c.chat.completions.create(model="nonesuch", messages=HELLO))
    assert gateway == direct
    assert gateway[0] is openai.NotFoundError


def test_a_malformed_request_raises_the_same(openai_sides: Sides) -> None:
    direct, gateway = openai_sides.both(lambda c: c.chat.completions.create(model="sim", messages=[]))
    assert gateway == direct
    assert gateway[0] is openai.BadRequestError


@pytest.mark.parametrize("behaviour", ["error", "early-error"])
@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_an_error_event_ends_a_stream_the_same(openai_sides: Sides, behaviour: str, dialect: str) -> None:
    model = f"sim-{behaviour}"
    if dialect == "chat":
        direct, gateway = openai_sides.both(
            lambda c: events(c.chat.completions.create(model=model, messages=HELLO, stream=True))
        )
    else:
        direct, gateway = openai_sides.both(
            lambda c: events(c.responses.create(model=model, input="hello", stream=True))
        )
    assert gateway == direct


def test_a_stream_the_provider_cuts_raises_an_error_that_the_sdk_understands(openai_sides: Sides) -> None:
    with pytest.raises(openai.APIError) as raised:
        events(openai_sides.gateway.chat.completions.create(model="sim-cut", messages=HELLO, stream=True))
    assert raised.value.message


@pytest.mark.parametrize("behaviour", ["drop", "garbage"])
def test_a_provider_that_answers_nonsense_never_looks_like_success(openai_sides: Sides, behaviour: str) -> None:
    with pytest.raises((openai.APIError, ValueError)):
        openai_sides.gateway.chat.completions.create(model=f"sim-{behaviour}", messages=HELLO)


def test_a_wrong_key_raises_an_authentication_error(gateway: Gateway) -> None:
    key = "sk-gw_test_000000000000_00000000000000000000000000000000000000000001rMNQM"
    client = openai.OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0)
    with client, pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model="sim", messages=HELLO)
    assert raised.value.code == "invalid_api_key"


async def test_the_asynchronous_client_streams_the_same(openai_sides: Sides, gateway: Gateway, secret: str) -> None:
    direct = events(openai_sides.direct.chat.completions.create(model="sim", messages=HELLO, stream=True))
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=secret, max_retries=0) as client:
        stream = await client.chat.completions.create(model="sim", messages=HELLO, stream=True)
        assert [event.model_dump() async for event in stream] == direct
