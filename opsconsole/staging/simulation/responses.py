"""The responses dialect, as OpenAI writes it, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.simulation.answers import Answer
from opsconsole.staging.simulation.events import Event, named_event
from opsconsole.staging.simulation.questions import Invalid, Question, Tool, output_cap, texts_of


def read(body: Mapping[str, Any], stream: bool) -> Question:
    """Raises `Invalid`."""
    given = body.get("input")
    if not isinstance(given, str | list) or not given:
        raise Invalid("Missing required parameter: 'input'.", "input")
    shape = (body.get("text") or {}).get("format") or {}
    answered = isinstance(given, list) and given[-1].get("type") == "function_call_output"
    return Question(
        dialect=Dialect.RESPONSES,
        model=str(body["model"]),
        stream=stream,
        texts=(*texts_of(body.get("instructions")), *texts_of(given)),
        messages=1 if isinstance(given, str) else len(given),
        output_cap=output_cap(body, "max_output_tokens"),
        tools=() if answered else _tools(body),
        schema=shape.get("schema") if shape.get("type") == "json_schema" else None,
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    status = "incomplete" if answer.choices[0].truncated else "completed"
    return _response(answer, status, [_item(answer, n) for n in range(_items(answer))])


def stream(question: Question, answer: Answer) -> Iterator[Event]:
    numbers = count()

    def event(kind: str, tokens: int = 0, **fields: Any) -> Event:
        return named_event({"type": f"response.{kind}", "sequence_number": next(numbers), **fields}, tokens)

    opening = _response(answer, "in_progress", [])
    yield event("created", response=opening)
    yield event("in_progress", response=opening)
    for number in range(_items(answer)):
        for kind, tokens, fields in _parts(answer, number):
            yield event(kind, tokens, output_index=number, **fields)
    final = whole(question, answer)
    yield event(final["status"], response=final)


def error_event(error: dict[str, Any], number: int) -> bytes:
    """An error in the middle of a stream."""
    detail = error["error"]
    value = {
        "type": "error",
        "code": detail["code"],
        "message": detail["message"],
        "param": None,
        "sequence_number": number,
    }
    return named_event(value).data


def _items(answer: Answer) -> int:
    return len(answer.choices[0].calls) or 1


def _parts(answer: Answer, number: int) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(event kind, tokens, fields) of one output item."""
    choice, done = answer.choices[0], _item(answer, number)
    at = {"item_id": done["id"]}
    if choice.calls:
        call = choice.calls[number]
        yield "output_item.added", 0, {"item": done | {"status": "in_progress", "arguments": ""}}
        for piece in call.pieces:
            yield "function_call_arguments.delta", 1, {**at, "delta": piece}
        yield "function_call_arguments.done", 0, {**at, "name": call.name, "arguments": call.arguments}
    else:
        at_part = {**at, "content_index": 0}
        yield "output_item.added", 0, {"item": done | {"status": "in_progress", "content": []}}
        yield "content_part.added", 0, {**at_part, "part": _text("")}
        for piece in (*choice.reasoning, *choice.pieces):
            yield "output_text.delta", 1, {**at_part, "delta": piece, "logprobs": []}
        text = done["content"][0]
        yield "output_text.done", 0, {**at_part, "text": text["text"], "logprobs": []}
        yield "content_part.done", 0, {**at_part, "part": text}
    yield "output_item.done", 0, {"item": done}


def _item(answer: Answer, number: int) -> dict[str, Any]:
    choice = answer.choices[0]
    if choice.calls:
        call = choice.calls[number]
        names = {"id": f"fc_{call.id}", "call_id": f"call_{call.id}", "name": call.name}
        return {"type": "function_call", "status": "completed", **names, "arguments": call.arguments}
    status = "incomplete" if choice.truncated else "completed"
    text = "".join((*choice.reasoning, *choice.pieces))
    return {
        "type": "message",
        "id": f"msg_{answer.id}",
        "status": status,
        "role": "assistant",
        "content": [_text(text)],
    }


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    ended = status != "in_progress"
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(answer) if ended and answer.tells_usage else None,
    }


def _usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    choice = body.get("tool_choice", "auto")
    offered = [
        Tool(t["name"], t.get("parameters") or {}) for t in body.get("tools") or () if t.get("type") == "function"
    ]
    if choice == "none":
        return ()
    if isinstance(choice, dict):
        return tuple(tool for tool in offered if tool.name == choice.get("name"))
    return tuple(offered[: 2 if body.get("parallel_tool_calls", True) else 1])
