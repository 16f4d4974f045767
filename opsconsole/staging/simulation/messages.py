"""The messages dialect, as Anthropic writes it, whole and streamed.

Its input count leaves out what came from the cache, and its stream tells usage twice: input first, output last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.simulation.answers import Answer, Choice
from opsconsole.staging.simulation.events import Event, named_event
from opsconsole.staging.simulation.questions import Invalid, Question, Tool, messages_of, output_cap, texts_of


def read(body: Mapping[str, Any], stream: bool) -> Question:
    """Raises `Invalid`."""
    if body.get("max_tokens") is None:
        raise Invalid("max_tokens: Field required", "max_tokens")
    return _read(body, stream)


def read_count(body: Mapping[str, Any], _stream: bool) -> Question:
    """A request for the count alone. Raises `Invalid`."""
    return replace(_read(body, stream=False), choices=0)


def _read(body: Mapping[str, Any], stream: bool) -> Question:
    messages = messages_of(body)
    return Question(
        dialect=Dialect.MESSAGES,
        model=str(body["model"]),
        stream=stream,
        texts=(*texts_of(body.get("system")), *(text for m in messages for text in texts_of(m.get("content")))),
        messages=len(messages),
        output_cap=output_cap(body, "max_tokens"),
        tools=() if _answered(messages) else _tools(body),
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    choice = answer.choices[0]
    usage = _input_usage(answer) | {"output_tokens": answer.output_tokens} if answer.tells_usage else {}
    return _message(answer, _blocks(choice), _stop(choice)) | {"usage": usage}


def count_whole(question: Question, answer: Answer) -> dict[str, Any]:
    return {"input_tokens": answer.input_tokens}


def stream(question: Question, answer: Answer) -> Iterator[Event]:
    choice = answer.choices[0]
    told = answer.tells_usage
    opening = _input_usage(answer) | {"output_tokens": 1} if told else {}
    yield named_event({"type": "message_start", "message": _message(answer, [], None) | {"usage": opening}})
    yield named_event({"type": "ping"})
    for number, block in enumerate(_blocks(choice)):
        yield named_event({"type": "content_block_start", "index": number, "content_block": _emptied(block)})
        for piece in _pieces(choice, number, block["type"]):
            delta = _delta(block["type"], piece)
            yield named_event({"type": "content_block_delta", "index": number, "delta": delta}, tokens=1)
        yield named_event({"type": "content_block_stop", "index": number})
    stop = {"stop_reason": _stop(choice), "stop_sequence": None}
    closing = {"output_tokens": answer.output_tokens} if told else {}
    yield named_event({"type": "message_delta", "delta": stop, "usage": closing})
    yield named_event({"type": "message_stop"})


def error_event(error: dict[str, Any], _number: int) -> bytes:
    """An error in the middle of a stream."""
    return named_event({"type": "error", "error": error["error"]}).data


def _blocks(choice: Choice) -> list[dict[str, Any]]:
    if choice.calls:
        return [_tool_use(choice, number) for number in range(len(choice.calls))]
    thinking = [{"type": "thinking", "thinking": "".join(choice.reasoning), "signature": "c2ltdWxhdGVk"}]
    return [*(thinking if choice.reasoning else ()), {"type": "text", "text": choice.text}]


def _tool_use(choice: Choice, number: int) -> dict[str, Any]:
    call = choice.calls[number]
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": json.loads(call.arguments)}


def _emptied(block: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, dict[str, Any]] = {
        "tool_use": {"input": {}},
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
    }
    return block | empty[block["type"]]


def _pieces(choice: Choice, number: int, kind: str) -> tuple[str, ...]:
    if kind == "tool_use":
        return choice.calls[number].pieces
    return choice.reasoning if kind == "thinking" else choice.pieces


def _delta(kind: str, piece: str) -> dict[str, Any]:
    if kind == "tool_use":
        return {"type": "input_json_delta", "partial_json": piece}
    return {"type": f"{kind}_delta", kind: piece}


def _stop(choice: Choice) -> str:
    return "tool_use" if choice.calls else "max_tokens" if choice.truncated else "end_turn"


def _message(answer: Answer, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
    }


def _input_usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "service_tier": "standard",
    }


def _answered(messages: list[Mapping[str, Any]]) -> bool:
    content = messages[-1].get("content")
    return isinstance(content, list) and any(part.get("type") == "tool_result" for part in content)


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    choice = body.get("tool_choice") or {"type": "auto"}
    offered = [Tool(tool["name"], tool.get("input_schema") or {}) for tool in body.get("tools") or ()]
    if choice["type"] == "none":
        return ()
    if choice["type"] == "tool":
        return tuple(tool for tool in offered if tool.name == choice.get("name"))
    return tuple(offered[: 1 if choice.get("disable_parallel_tool_use") else 2])
