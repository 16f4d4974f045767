"""What an answer says, whatever its dialect: its text, reasoning, tool calls, finish, usage and error.

Chat completions, completions, responses, messages and embeddings are read, streamed or not. What an answer does not
tell is None, never empty or zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import ENDPOINTS, Dialect
from keyvault.domain.ledger import NO_USAGE, Usage
from keyvault.proxy.dialects.provider_errors import error_of, read_error
from keyvault.proxy.dialects.usage import messages_usage, read_usage
from opsconsole.staging.asking.answer import Answer

Fields = Mapping[str, Any]
_NONE: Final[Fields] = {}
_REASONING: Final = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. `arguments`: the text, as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """An answer's meaning."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    """The provider's own word: `stop`, `length`, `tool_calls`, `end_turn`, `completed`, …"""
    usage: Usage | None = None
    error_code: str | None = None
    error_text: str | None = None
    complete: bool = False
    """The whole answer came, and a stream's terminal event with it."""


def said(path: str, answer: Answer) -> Said:
    """What the answer to a request of that path (such as `/chat/completions`) says."""
    endpoint = ENDPOINTS.get(path)
    return said_in(endpoint.dialect if endpoint else Dialect.OTHER, answer)


def said_in(dialect: Dialect, answer: Answer) -> Said:
    """The same, by the dialect."""
    if answer.failure is not None and not answer.events:
        return Said(error_code="no_answer", error_text=answer.failure)
    if answer.status is None or answer.status >= 400:
        code, text = read_error(answer.body)
        return Said(error_code=code or f"http_{answer.status}", error_text=text or None)
    if answer.streamed:
        return _streamed(dialect, answer)
    whole = answer.json
    if not isinstance(whole, dict):
        return Said(error_code="not_json", error_text="the answer is not a JSON object")
    if whole.get("error") or whole.get("type") == "error":
        return _failed(whole)
    heard = _Heard()
    _whole(dialect, whole, heard)
    return heard.said(read_usage(dialect, whole), complete=answer.failure is None)


def has_content(event: Any) -> bool:
    """Whether a stream's event adds a text, some reasoning or a piece of a tool call, in any dialect."""
    heard = _Heard()
    return isinstance(event, dict) and heard.hear(event) and bool(heard.text or heard.reasoning or heard.calls)


@dataclass(slots=True)
class _Heard:
    """What was heard so far. Tool calls by where they stand in the answer."""

    text: str = ""
    reasoning: str = ""
    calls: dict[Any, list[str]] = field(default_factory=dict)
    finish: str | None = None

    def said(self, usage: Usage | None, *, complete: bool) -> Said:
        calls = tuple(ToolCall(name, arguments) for name, arguments in self.calls.values())
        return Said(self.text, self.reasoning, calls, self.finish, usage, complete=complete)

    def hear(self, event: Fields) -> bool:
        """One event of a stream, of any dialect; True."""
        for choice in _objects(event.get("choices")):
            self.delta(_object(choice.get("delta")), choice.get("index", 0))
            self.text += _text(choice.get("text"))
            self.finish = choice.get("finish_reason") or self.finish
        match event.get("type"):
            case "content_block_start":
                self.block(_object(event.get("content_block")), event.get("index"))
            case "content_block_delta":
                self._piece(_object(event.get("delta")), event.get("index"))
            case "message_delta":
                self.finish = _object(event.get("delta")).get("stop_reason") or self.finish
            case "response.output_text.delta":
                self.text += _text(event.get("delta"))
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                self.reasoning += _text(event.get("delta"))
            case "response.output_item.added":
                item = _object(event.get("item"))
                if item.get("type") == "function_call":
                    self.calls[event.get("output_index")] = [_text(item.get("name")), _text(item.get("arguments"))]
            case "response.function_call_arguments.delta":
                self._call(event.get("output_index"))[1] += _text(event.get("delta"))
        return True

    def delta(self, delta: Fields, choice: Any) -> None:
        if choice in (0, None):
            self.text += _text(delta.get("content")) + _text(delta.get("refusal"))
        self.reasoning += next((delta[name] for name in _REASONING if isinstance(delta.get(name), str)), "")
        for at, call in enumerate(_objects(delta.get("tool_calls"))):
            function = _object(call.get("function"))
            known = self._call((choice, call.get("index", at)))
            known[0] += _text(function.get("name"))
            known[1] += _text(function.get("arguments"))

    def block(self, block: Fields, index: Any) -> None:
        """A block of a message: whole, or as it begins in a stream."""
        match block.get("type"):
            case "text":
                self.text += _text(block.get("text"))
            case "thinking":
                self.reasoning += _text(block.get("thinking"))
            case "tool_use":
                self.calls[index] = [_text(block.get("name")), _json_text(block.get("input"))]

    def _piece(self, delta: Fields, index: Any) -> None:
        self.text += _text(delta.get("text"))
        self.reasoning += _text(delta.get("thinking"))
        if delta.get("type") == "input_json_delta":
            self._call(index)[1] += _text(delta.get("partial_json"))

    def _call(self, at: Any) -> list[str]:
        return self.calls.setdefault(at, ["", ""])


def _streamed(dialect: Dialect, answer: Answer) -> Said:
    heard, usage, terminal = _Heard(), None, False
    told: dict[str, Any] = {}
    for event in answer.events:
        value = event.json()
        terminal = terminal or event.data == "[DONE]"
        if not isinstance(value, dict):
            continue
        if value.get("error") and value.get("type", "error") == "error":
            return _failed(value, heard)
        heard.hear(value)
        kind = value.get("type")
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            whole = _object(value.get("response"))
            heard.finish, terminal = whole.get("status"), True
            usage = read_usage(dialect, whole)
            if kind == "response.failed":
                return _failed(whole, heard)
        terminal = terminal or kind == "message_stop"
        if dialect is Dialect.MESSAGES:
            told |= _object(value.get("usage")) or _object(_object(value.get("message")).get("usage"))
        else:
            usage = read_usage(dialect, value) or usage
    if told:
        usage = messages_usage(told)
    return heard.said(None if usage == NO_USAGE else usage, complete=terminal and answer.failure is None)


def _whole(dialect: Dialect, whole: Fields, heard: _Heard) -> None:
    """An answer that is no stream."""
    if dialect is Dialect.MESSAGES:
        for index, block in enumerate(_objects(whole.get("content"))):
            heard.block(block, index)
        heard.finish = whole.get("stop_reason")
    elif dialect is Dialect.RESPONSES:
        heard.finish = whole.get("status")
        for index, item in enumerate(_objects(whole.get("output"))):
            _item(item, index, heard)
    else:
        for choice in _objects(whole.get("choices")):
            heard.delta(_object(choice.get("message")), choice.get("index", 0))
            if choice.get("index", 0) == 0:
                heard.text += _text(choice.get("text"))
            heard.finish = heard.finish or choice.get("finish_reason")


def _item(item: Fields, index: int, heard: _Heard) -> None:
    """One item of a response's output."""
    match item.get("type"):
        case "message":
            heard.text += "".join(
                _text(part.get("text")) + _text(part.get("refusal")) for part in _objects(item.get("content"))
            )
        case "reasoning":
            parts = [*_objects(item.get("content")), *_objects(item.get("summary"))]
            heard.reasoning += "".join(_text(part.get("text")) for part in parts)
        case "function_call":
            heard.calls[index] = [_text(item.get("name")), _text(item.get("arguments"))]


def _failed(answer: Fields, heard: _Heard | None = None) -> Said:
    code, text = error_of(answer)
    before = heard or _Heard()
    return Said(before.text, before.reasoning, error_code=code or "error", error_text=text)


def _objects(value: object) -> Sequence[Fields]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else ()


def _object(value: object) -> Fields:
    return value if isinstance(value, dict) else _NONE


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _json_text(value: object) -> str:
    """The input of a tool as text; empty while a stream still brings it."""
    return msgspec.json.encode(value).decode() if value else ""
