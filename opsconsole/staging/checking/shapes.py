"""What the clients of an API need an answer to be like, where there is no direct answer to compare it with.

A shape expects a value of each aspect it names: a pattern that the whole value matches. Types of fields are written
short: `text` must be there, `text?` may be absent or null.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from opsconsole.staging.checking.aspects import Aspect, Facts
from opsconsole.staging.checking.streams import DONE

JSON_TYPE: Final = r"application/json( *;.*)?"
EVENT_TYPE: Final = r"text/event-stream( *;.*)?"


class Unmet(NamedTuple):
    """An aspect that is not as it should be. `found`: None where it is absent."""

    aspect: Aspect
    expected: str | None
    found: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """`each_event`: fields that every event of a stream has, but for its end and errors."""

    expected: Mapping[Aspect, str]
    each_event: Mapping[str, str] = field(default_factory=dict)

    def unmet(self, facts: Facts) -> list[Unmet]:
        expected = {Aspect("answer"): "whole", **self.expected, **self._of_events(facts)}
        if (declared := Aspect("SDK", "declared types")) in facts:
            expected[declared] = "kept"
        return [
            Unmet(aspect, _plain(pattern), facts.get(aspect))
            for aspect, pattern in expected.items()
            if re.fullmatch(pattern, facts.get(aspect, ""), re.DOTALL) is None
        ]

    def _of_events(self, facts: Facts) -> dict[Aspect, str]:
        kinds = dict.fromkeys(aspect.event for aspect in facts if aspect.event)
        return {
            Aspect("field", path, kind): _type(kind_of) for kind in kinds for path, kind_of in self.each_event.items()
        }


def whole(fields: Mapping[str, str], *, values: Mapping[str, str] = {}, tools: str | None = None) -> Shape:
    """A JSON document with status 200."""
    expected = {
        Aspect("status"): "200",
        Aspect("header", "content-type"): JSON_TYPE,
        Aspect("body"): "JSON",
        **_fields(fields),
        **{Aspect("value", path): pattern for path, pattern in values.items()},
    }
    if "usage" in fields:
        expected[Aspect("usage sum")] = "(right)?"
    return Shape(expected | _tools(tools))


def streamed(
    each_event: Mapping[str, str],
    *,
    first: str,
    last: str,
    events: str = ".*",
    usage_event: str | None = None,
    fields: Mapping[tuple[str, str], str] = {},
    tools: str | None = None,
) -> Shape:
    """A stream. `fields`: (kind of event, path) → type."""
    expected = {
        Aspect("status"): "200",
        Aspect("header", "content-type"): EVENT_TYPE,
        Aspect("body"): "events",
        Aspect("first event"): first,
        Aspect("last event"): last,
        Aspect("order"): "kept",
        Aspect("events"): events,
        Aspect("usage sum"): "(right)?",
        **{Aspect("field", path, kind): _type(kind_of) for (kind, path), kind_of in fields.items()},
    }
    if usage_event is not None:
        expected[Aspect("usage event")] = usage_event
    return Shape(expected | _tools(tools), each_event)


def refused(status: str, fields: Mapping[str, str]) -> Shape:
    """An error whose body says why."""
    return Shape(
        {
            Aspect("status"): status,
            Aspect("header", "content-type"): JSON_TYPE,
            Aspect("body"): "JSON",
            **_fields(fields),
            Aspect("value", "error.message"): '".+"',
        }
    )


def _tools(outline: str | None) -> dict[Aspect, str]:
    return {} if outline is None else {Aspect("tool calls"): outline}


def _fields(fields: Mapping[str, str]) -> dict[Aspect, str]:
    return {Aspect("field", path): _type(kind) for path, kind in fields.items()}


def _type(kind: str) -> str:
    optional = kind.removesuffix("?")
    return kind if optional == kind else f"(|null|{optional}|null or {optional}|{optional} or null)"


def _plain(pattern: str) -> str:
    """A pattern as a person would say it."""
    if pattern.startswith("(|null|"):
        return pattern.removeprefix("(|null|").partition("|")[0] + ", null or nothing"
    shown = {JSON_TYPE: "application/json", EVENT_TYPE: "text/event-stream", '".+"': "a text that says why"}
    return shown.get(pattern) or _unwrapped(pattern).replace("\\", "").replace(".*", "…").replace("|", " or ")


def _unwrapped(pattern: str) -> str:
    return pattern[1:-2] if pattern.startswith("(") and pattern.endswith(")?") else pattern


_CHUNK: Final = {"id": "text", "object": "text", "created": "number", "model": "text", "choices": "list"}
_COUNTS: Final = {"usage": "object", "usage.prompt_tokens": "number", "usage.total_tokens": "number"}
_CHAT_FIELDS: Final = {
    **_CHUNK,
    "choices[].index": "number",
    "choices[].message": "object",
    "choices[].message.role": "text",
    "choices[].message.content": "text?",
    "choices[].finish_reason": "text",
    **_COUNTS,
    "usage.completion_tokens": "number",
}
_CALL: Final = "choices[].message.tool_calls"
_CALL_FIELDS: Final = {
    _CALL: "list",
    f"{_CALL}[].id": "text",
    f"{_CALL}[].type": "text",
    f"{_CALL}[].function.name": "text",
    f"{_CALL}[].function.arguments": "text",
}
_END: Final = re.escape(DONE)
WEATHER: Final = r"weather: object\(city\)"
BOTH: Final = rf"{WEATHER}, time: object\(city\)"
ANY_CALLS: Final = r"(weather|time): object\(city\)(, (weather|time): object\(city\))*"

MODEL: Final = whole({"id": "text", "object": "text"})
MODELS: Final = whole({"data": "list", "data[].id": "text", "data[].object": "text", "object": "text"})
CHAT: Final = whole(_CHAT_FIELDS, values={"object": '"chat.completion"'})
CHAT_TOOLS: Final = whole({**_CHAT_FIELDS, **_CALL_FIELDS}, tools=ANY_CALLS)
CHAT_STREAM: Final = streamed(
    _CHUNK, first=".*", last=_END, events=".*finish.*", fields={("content", "choices[].delta.content"): "text?"}
)
CHAT_STREAM_USAGE: Final = streamed(
    _CHUNK, first=".*", last=_END, events=".*finish.*", usage_event="(by itself|with others).*"
)
CHAT_STREAM_TOOLS: Final = streamed(_CHUNK, first=".*", last=_END, events=".*tool 0 opens.*finish.*", tools=ANY_CALLS)
COMPLETION: Final = whole({**_CHUNK, "choices[].text": "text", **_COUNTS}, values={"object": '"text_completion"'})
COMPLETION_STREAM: Final = streamed(_CHUNK, first=".*", last=_END, events=".*finish.*")
EMBEDDING: Final = whole(
    {
        "object": "text",
        "data": "list",
        "data[].index": "number",
        "data[].embedding": "list",
        "data[].embedding[]": "number",
        "model": "text",
        **_COUNTS,
    }
)
EMBEDDING_BASE64: Final = whole({"data": "list", "data[].embedding": "text", "model": "text", **_COUNTS})
_RESPONSE: Final = {
    "id": "text",
    "object": "text",
    "created_at": "number",
    "status": "text",
    "model": "text",
    "output": "list",
    "output[].type": "text",
    "usage": "object",
    "usage.input_tokens": "number",
    "usage.output_tokens": "number",
    "usage.total_tokens": "number",
}
RESPONSE: Final = whole({**_RESPONSE, "output[].content[].text": "text"}, values={"object": '"response"'})
RESPONSE_TOOLS: Final = whole(_RESPONSE, tools=ANY_CALLS)
_RESPONSE_END: Final = r"response\.(completed|incomplete)"
RESPONSE_STREAM: Final = streamed({"type": "text"}, first=r"response\.created", last=_RESPONSE_END, events=".*delta.*")
RESPONSE_STREAM_TOOLS: Final = streamed(
    {"type": "text"},
    first=r"response\.created",
    last=_RESPONSE_END,
    events=r".*function_call_arguments\.delta.*",
    tools=ANY_CALLS,
)
_MESSAGE: Final = {
    "id": "text",
    "type": "text",
    "role": "text",
    "model": "text",
    "content": "list",
    "content[].type": "text",
    "stop_reason": "text",
    "usage": "object",
    "usage.input_tokens": "number",
    "usage.output_tokens": "number",
}
MESSAGE: Final = whole(_MESSAGE, values={"type": '"message"'})
MESSAGE_TOOLS: Final = whole(
    {**_MESSAGE, "content[].id": "text", "content[].name": "text", "content[].input": "object"}, tools=ANY_CALLS
)
_MESSAGE_EVENTS: Final = {
    ("message_start", "message.id"): "text",
    ("message_start", "message.usage.input_tokens"): "number",
    ("content_block_delta", "index"): "number",
    ("message_delta", "delta.stop_reason"): "text",
    ("message_delta", "usage.output_tokens"): "number",
}
MESSAGE_STREAM: Final = streamed(
    {"type": "text"},
    first="message_start",
    last="message_stop",
    events=".*content_block_start.*content_block_stop.*message_delta.*",
    fields=_MESSAGE_EVENTS,
)
MESSAGE_STREAM_TOOLS: Final = streamed(
    {"type": "text"}, first="message_start", last="message_stop", fields=_MESSAGE_EVENTS, tools=ANY_CALLS
)
TOKEN_COUNT: Final = whole({"input_tokens": "number"})
_OPENAI_ERROR: Final = {"error": "object", "error.message": "text"}
_ANTHROPIC_ERROR: Final = {"type": "text", "error": "object", "error.type": "text", "error.message": "text"}


def openai_error(status: str) -> Shape:
    return refused(status, _OPENAI_ERROR)


def anthropic_error(status: str) -> Shape:
    return refused(status, _ANTHROPIC_ERROR)
