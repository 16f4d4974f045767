"""The bodies of the probes: small, cheap questions in the shapes that applications send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from opsconsole.staging.checking.probes import Body, Models

MOST_TOKENS: Final = 64
"""The cap of each answer: enough for a tool call, and cheap."""
FAR_TOO_MANY: Final = 9_000_000
"""A cap that no model has."""
LONG: Final = "hello world and the others, " * 450
"""About 12 kB."""
IMAGE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP4z8CAFTEMLQkAKP8/wc53yE8AAAAASUVORK5CYII="
"""A red square of 8 by 8 pixels, PNG."""

_CITY: Final = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Paris"]}},
    "required": ["city"],
    "additionalProperties": False,
}
"""With one city there is to say, calls and answers are short, and the same again and again."""
_DESCRIBED: Final = {"weather": "The weather in a city.", "time": "The local time in a city."}
_FUNCTIONS: Final = {
    name: {"name": name, "description": about, "parameters": _CITY, "strict": True}
    for name, about in _DESCRIBED.items()
}
_ASK: Final = "What is the weather in Paris? Call the tool."
_ASK_BOTH: Final = "Call both tools at once for Paris: weather and time."


def chat(models: Models, text: str = "Answer with the word hello.", **more: Any) -> Body:
    content = more.pop("content", text)
    messages = more.pop("messages", [{"role": "user", "content": content}])
    return {"model": models.chat, "messages": messages, models.cap_field: MOST_TOKENS, **more}


def chat_tools(models: Models, names: Sequence[str], **more: Any) -> Body:
    """One call where one tool is named, several at once where two are."""
    tools = [{"type": "function", "function": _FUNCTIONS[name]} for name in names]
    text = _ASK if len(names) == 1 else _ASK_BOTH
    return chat(models, text, tools=tools, tool_choice="required", **more)


def chat_answered_tool(models: Models) -> Body:
    """What is sent after the tool has answered."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
    told = [
        {"role": "user", "content": _ASK},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"weather": "sunny"}'},
    ]
    return chat(models, messages=told, tools=[{"type": "function", "function": _FUNCTIONS["weather"]}])


def far_too_many(models: Models) -> Body:
    return {**chat(models), models.cap_field: FAR_TOO_MANY}


def chat_image(models: Models) -> Body:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
    return chat(models, content=[{"type": "text", "text": "Which colour is this? One word."}, image])


def chat_schema(models: Models) -> Body:
    schema = {"name": "place", "strict": True, "schema": _CITY}
    return chat(models, "Name a city, as JSON.", response_format={"type": "json_schema", "json_schema": schema})


def chat_json(models: Models) -> Body:
    text = 'Answer with the JSON object {"city": "Paris"} and nothing else.'
    return chat(models, text, response_format={"type": "json_object"})


def completion(models: Models, **more: Any) -> Body:
    return {"model": models.chat, "prompt": "Once upon a time", "max_tokens": MOST_TOKENS, **more}


def embeddings(models: Models, **more: Any) -> Body:
    return {"model": models.embedding, "input": ["hello world", "the others"], **more}


def response(models: Models, asked: str = "Answer with the word hello.", **more: Any) -> Body:
    """Nothing of it is to be kept by the provider."""
    return {"model": models.chat, "input": asked, "max_output_tokens": MOST_TOKENS, "store": False, **more}


def response_tools(models: Models, **more: Any) -> Body:
    tools = [{"type": "function", **_FUNCTIONS["weather"]}]
    return response(models, _ASK, tools=tools, tool_choice="required", **more)


def response_schema(models: Models) -> Body:
    form = {"type": "json_schema", "name": "place", "strict": True, "schema": _CITY}
    return response(models, "Name a city, as JSON.", text={"format": form})


def message(models: Models, text: Any = "Answer with the word hello.", **more: Any) -> Body:
    asked = [{"role": "user", "content": text}]
    return {"model": models.messages, "messages": asked, "max_tokens": MOST_TOKENS, **more}


def message_tools(models: Models, **more: Any) -> Body:
    tool = {"name": "weather", "description": _DESCRIBED["weather"], "input_schema": _CITY}
    return message(models, _ASK, tools=[tool], tool_choice={"type": "any"}, **more)


def message_image(models: Models) -> Body:
    source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
    return message(
        models, [{"type": "image", "source": source}, {"type": "text", "text": "Which colour is this? One word."}]
    )


def token_count(models: Models) -> Body:
    return {"model": models.messages, "messages": [{"role": "user", "content": "hello world"}]}


def without(body: Body, name: str) -> Body:
    return {field: value for field, value in body.items() if field != name}
