"""Chat completions and completions, streamed.

An event is `data: {…}` with `choices`; usage comes in a last event of its own with empty `choices` (OpenAI), in the
last one with choices (Mistral), in each (xAI, Perplexity) or in `x_groq`; an error is `data: {"error": …}`; the end is
`data: [DONE]`.

Once content has begun, no event is decoded that cannot be anything else. The quick rule: it begins as the last one did,
up to its delta, and holds no further object, so neither a usage nor an error. The slow rule: none of the words that
would make it anything else is in it; a text that holds one is written with escapes and is not mistaken.
"""

from __future__ import annotations

import re
from typing import Any, Final

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.base import EMPTY, Meter, decode_object, identifier
from keyvault.proxy.dialects.metered import PASS, Metered, Verdict
from keyvault.proxy.dialects.produced import pattern_for
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import Fields, fields_of

DONE: Final = b"[DONE]"
_DATA: Final = b"data:"
TEXT_FIELDS: Final = pattern_for(
    "content", "reasoning_content", "reasoning", "thinking", "refusal", "arguments", "transcript", "text"
)
_DELTA: Final = re.compile(rb'"choices":\s*\[\s*\{(?:[^{}]*?"delta":\s*\{)?')
_ENDS: Final = re.compile(rb'"finish_reason":\s*+(?!null\b|"")')
_STRAY: Final = re.compile(rb"[\r\n{]")
_CONTENT: Final = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "audio")


class ChatMeter(Meter):
    """Reads a stream of chat completions or completions."""

    __slots__ = ("_drop_usage", "_told")

    def __init__(self, dialect: Dialect, *, drop_usage: bool) -> None:
        super().__init__(dialect, TEXT_FIELDS, _STRAY)
        self._drop_usage = drop_usage
        self._told = b""
        """The last event with choices and a usage, not yet decoded."""

    def feed(self, event: bytes) -> Verdict:
        head = self.straight.head
        if event.startswith(head):
            if event.find(b"{", len(head)) >= 0 and not self._is_ordinary(event, len(head)):
                return self._inspect(event)
        elif self._begun and event.startswith(_DATA) and DONE not in event and self._is_ordinary(event, 0):
            self._learn(event)
        else:
            return self._inspect(event)
        self.straight.last = event
        self._produced.add(event)
        return PASS

    def _is_ordinary(self, event: bytes, position: int) -> bool:
        """Whether an event only adds content, or begins as the last one did and tells a usage beside it: then it is
        kept, to be read when asked."""
        if event.find(b'"error"', position) >= 0:
            return False
        if event.find(b'"usage":{', position) < 0 and event.find(b'"usage": {', position) < 0:
            return True
        if position > 0:
            self._told = event
        return position > 0

    def _learn(self, event: bytes) -> None:
        """How events begin: up to their text where that is what they add, else up to their delta."""
        delta = _DELTA.search(event)
        if delta is None:
            return
        text = TEXT_FIELDS.search(event, delta.end())
        if text is None or event.find(b"{", delta.end(), text.start()) >= 0 or TEXT_FIELDS.search(event, text.end()):
            self.straight.learn(event[: delta.end()])
        else:
            only_text = not _ENDS.search(event)
            self.straight.learn(event[: text.start(2)], event[text.end() :], adds_text=only_text)

    def _inspect(self, event: bytes) -> Verdict:
        name, data = read_event(event)
        if data.startswith(DONE):
            return self._terminal() if self._begun or self._complete else self._broken(EMPTY)
        fields = decode_object(data)
        if fields is None:
            return self._unreadable(data)
        if fields.get("error") or name == b"error" or fields.get("object") == "error":
            return self._failed(fields)
        if self._provider_id is None:
            self._provider_id = identifier(fields.get("id"))
        choices = fields.get("choices")
        has_usage = self._note_usage(fields)
        self._told = b"" if has_usage else self._told
        self._complete = self._complete or _is_finished(choices)
        if has_usage and not choices and self._drop_usage:
            return Verdict.DROP
        if not _has_content(choices):
            return Verdict.PASS
        self._learn(event)
        return self._content(event)

    def metered(self) -> Metered:
        if self._told:
            self._note_usage(decode_object(read_event(self._told)[1]) or {})
        return super().metered()

    def unfinished(self) -> tuple[str, str] | None:
        last = decode_object(read_event(self.straight.last)[1])
        self._complete = self._complete or (last is not None and _is_finished(last.get("choices")))
        return super().unfinished()


def _choices(choices: Any) -> list[Fields]:
    return [fields_of(choice) for choice in choices] if isinstance(choices, list) else []


def _is_finished(choices: Any) -> bool:
    return any(choice.get("finish_reason") for choice in _choices(choices))


def _has_content(choices: Any) -> bool:
    for choice in _choices(choices):
        delta = fields_of(choice.get("delta"))
        if choice.get("text") or any(delta.get(name) for name in _CONTENT):
            return True
    return False
