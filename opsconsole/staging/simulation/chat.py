"""Chat completions and completions, as OpenAI writes them, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.simulation.answers import Answer, Choice
from opsconsole.staging.simulation.events import DONE, Event, data_event
from opsconsole.staging.simulation.questions import (
    Invalid,
    Question,
    Tool,
    messages_of,
    output_cap,
    positive,
    texts_of,
)

_ANY_OBJECT: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


def read_chat(body: Mapping[str, Any], stream: bool) -> Question:
    """Raises `Invalid`."""
    messages = messages_of(body)
    shape = body.get("response_format") or {}
    return Question(
        dialect=Dialect.CHAT,
        model=str(body["model"]),
        stream=stream,
        texts=tuple(text for message in messages for text in texts_of(message.get("content"))),
        messages=len(messages),
        output_cap=output_cap(body, "max_completion_tokens", "max_tokens"),
        choices=positive(body, "n") or 1,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        tools=_tools(body, answered=messages[-1].get("role") == "tool"),
        schema=_schema(shape),
    )


def read_completions(body: Mapping[str, Any], stream: bool) -> Question:
    """Raises `Invalid`."""
    prompt = body.get("prompt")
    if not prompt:
        raise Invalid("Missing required parameter: 'prompt'.", "prompt")
    return Question(
        dialect=Dialect.COMPLETIONS,
        model=str(body["model"]),
        stream=stream,
        texts=tuple(texts_of(prompt)),
        messages=0,
        output_cap=output_cap(body, "max_tokens"),
        choices=positive(body, "n") or 1,
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _schema(shape: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the answer's JSON must be like; in JSON mode it is an object of the model's choice."""
    if shape.get("type") == "json_object":
        return _ANY_OBJECT
    return shape.get("json_schema", {}).get("schema") if shape.get("type") == "json_schema" else None


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    chat = question.dialect is Dialect.CHAT
    choices = [_whole_choice(chat, number, choice) for number, choice in enumerate(answer.choices)]
    return _envelope(question, answer, choices, streamed=False) | (
        {"usage": usage(answer)} if answer.tells_usage else {}
    )


def stream(question: Question, answer: Answer) -> Iterator[Event]:
    """The events of an answer; choices follow one another token by token."""
    chat = question.dialect is Dialect.CHAT
    pending = {"usage": None} if question.include_usage else {}

    def chunk(number: int, part: dict[str, Any], finish: str | None, tokens: int = 0) -> Event:
        choice = {"index": number, **part, "logprobs": None, "finish_reason": finish}
        return data_event(_envelope(question, answer, [choice], streamed=True) | pending, tokens)

    for number, choice in enumerate(answer.choices):
        for delta, tokens in _deltas(choice) if chat else _texts(choice):
            yield chunk(number, delta, None, tokens)
        yield chunk(number, {"delta": {}} if chat else {"text": ""}, _finish(choice))
    if question.include_usage and answer.tells_usage:
        yield data_event(_envelope(question, answer, [], streamed=True) | {"usage": usage(answer)})
    yield Event(DONE)


def error_event(error: dict[str, Any], _number: int) -> bytes:
    """An error in the middle of a stream."""
    return data_event(error).data


def usage(answer: Answer) -> dict[str, Any]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens, "audio_tokens": 0},
    }


def _envelope(question: Question, answer: Answer, choices: list[dict[str, Any]], *, streamed: bool) -> dict[str, Any]:
    chat = question.dialect is Dialect.CHAT
    return {
        "id": f"chatcmpl-{answer.id}" if chat else f"cmpl-{answer.id}",
        "object": ("chat.completion.chunk" if streamed else "chat.completion") if chat else "text_completion",
        "created": answer.created,
        "model": answer.model,
        "system_fingerprint": "fp_simulated",
        "choices": choices,
    }


def _whole_choice(chat: bool, number: int, choice: Choice) -> dict[str, Any]:
    if not chat:
        return {"index": number, "text": choice.text, "logprobs": None, "finish_reason": _finish(choice)}
    message: dict[str, Any] = {"role": "assistant", "content": None if choice.calls else choice.text, "refusal": None}
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.calls:
        message["tool_calls"] = [
            {"id": f"call_{c.id}", "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in choice.calls
        ]
    return {"index": number, "message": message, "logprobs": None, "finish_reason": _finish(choice)}


def _finish(choice: Choice) -> str:
    return "tool_calls" if choice.calls else "length" if choice.truncated else "stop"


def _texts(choice: Choice) -> Iterator[tuple[dict[str, Any], int]]:
    for piece in choice.pieces:
        yield {"text": piece}, 1


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, Any], int]]:
    first = {"role": "assistant", "content": None if choice.calls else "", "refusal": None}
    yield {"delta": first}, 0
    for piece in choice.reasoning:
        yield {"delta": {"reasoning_content": piece}}, 1
    for piece in choice.pieces:
        yield {"delta": {"content": piece}}, 1
    for number, call in enumerate(choice.calls):
        opening: dict[str, Any] = {
            "id": f"call_{call.id}",
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        arguments = ({"function": {"arguments": piece}} for piece in call.pieces)
        for part in chain([opening], arguments):
            yield {"delta": {"tool_calls": [{"index": number, **part}]}}, 0 if part is opening else 1


def _tools(body: Mapping[str, Any], *, answered: bool) -> tuple[Tool, ...]:
    """The functions to call: none once a tool has answered; the chosen one; the first two; one if not parallel."""
    choice = body.get("tool_choice", "auto")
    offered = [
        Tool(function["name"], function.get("parameters") or {})
        for tool in body.get("tools") or ()
        if (function := tool.get("function"))
    ]
    if answered or choice == "none":
        return ()
    if isinstance(choice, dict):
        wanted = choice.get("function", {}).get("name")
        return tuple(tool for tool in offered if tool.name == wanted)
    return tuple(offered[: 2 if body.get("parallel_tool_calls", True) else 1])
