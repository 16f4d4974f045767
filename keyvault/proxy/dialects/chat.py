"""Chat completions and completions, streamed.

An event is `data: {…}` with `choices`; usage comes in a last event of its own with empty `choices` (OpenAI), in the
last one with choices (Mistral), in each (xAI, Perplexity) or in `x_groq`; an error is `data: {"error": …}`; the end is
`data: [DONE]`. Once content has begun, events are searched for the few bytes that could make them anything else.
"""

from __future__ import annotations

from typing import Any, Final

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.base import Meter, decode_object, identifier
from keyvault.proxy.dialects.metered import Verdict
from keyvault.proxy.dialects.produced import pattern_for
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import Fields, fields_of

DONE: Final = b"[DONE]"
TEXT_FIELDS: Final = pattern_for(
    "content", "reasoning_content", "reasoning", "thinking", "refusal", "arguments", "transcript", "text"
)
_CONTENT: Final = ("content", "reasoning_content", "reasoning", "refusal", "tool_calls", "function_call", "audio")


class ChatMeter(Meter):
    """Reads a stream of chat completions or completions."""

    __slots__ = ("_drop_usage", "_last")

    def __init__(self, dialect: Dialect, *, drop_usage: bool) -> None:
        super().__init__(dialect, TEXT_FIELDS)
        self._drop_usage = drop_usage
        self._last = b""

    def feed(self, event: bytes) -> Verdict:
        if (
            self._begun
            and DONE not in event
            and b'"usage":{' not in event
            and b'"usage": {' not in event
            and b'"error"' not in event
        ):
            self._last = event
            self._produced.add(event)
            return Verdict.PASS
        return self._inspect(event)

    def _inspect(self, event: bytes) -> Verdict:
        name, data = read_event(event)
        if data.startswith(DONE):
            return self._terminal()
        fields = decode_object(data)
        if fields is None:
            return Verdict.PASS
        if fields.get("error") or name == b"error" or fields.get("object") == "error":
            return self._failed(fields)
        if self._provider_id is None:
            self._provider_id = identifier(fields.get("id"))
        choices = fields.get("choices")
        has_usage = self._note_usage(fields)
        self._complete = self._complete or _is_finished(choices)
        if has_usage and not choices and self._drop_usage:
            return Verdict.DROP
        return self._content(event) if _has_content(choices) else Verdict.PASS

    def unfinished(self) -> tuple[str, str] | None:
        last = decode_object(read_event(self._last)[1])
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
