"""Anthropic messages, streamed: typed events; the input's usage comes first, the output's last.

`message_start` tells the input, `message_delta` the whole output so far and, where it differs, the input again. The end
is `message_stop`, an error is an event `error`.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import Usage
from keyvault.proxy.dialects.base import EMPTY, Meter, decode_object, identifier
from keyvault.proxy.dialects.metered import Metered, Verdict
from keyvault.proxy.dialects.produced import pattern_for
from keyvault.proxy.dialects.sse import read_event
from keyvault.proxy.dialects.usage import Fields, fields_of, messages_usage

TEXT_FIELDS: Final = pattern_for("text", "thinking", "partial_json")
_EMPTY_AT_FIRST: Final = {"text": "text", "thinking": "thinking"}
"""Kinds of block that begin empty, and the field that would tell otherwise."""
_TEXT_OF_DELTA: Final = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class MessagesMeter(Meter):
    """Reads a stream of one message."""

    __slots__ = ("_sealed", "_told")

    def __init__(self) -> None:
        super().__init__(Dialect.MESSAGES, TEXT_FIELDS)
        self._told: dict[str, Any] = {}
        """Usage as told until now, the later over the earlier."""
        self._sealed: list[str] = []

    def _inspect(self, event: bytes) -> Verdict:
        name, data = read_event(event)
        fields = decode_object(data)
        if fields is None:
            return self._unreadable(data)
        if b"signature" in self.straight.last:  # the last delta of a block of thinking is its signature
            self._note_sealed(fields_of((decode_object(read_event(self.straight.last)[1]) or {}).get("delta")))
            self.straight.last = b""
        self._note_sealed(fields_of(fields.get("delta") or fields.get("content_block")))
        match fields.get("type") or name.decode("ascii", "replace"):
            case "content_block_delta" if _delta_has_content(fields_of(fields.get("delta"))):
                self._learn_name(event)
                return self._content(event)
            case "content_block_start" if _block_has_content(fields_of(fields.get("content_block"))):
                return self._content(event)
            case "message_start":
                self._start(fields_of(fields.get("message")))
            case "message_delta":
                self._tell(fields.get("usage"))
                self._usage = messages_usage(self._told) or self._usage
                self._complete = bool(fields_of(fields.get("delta")).get("stop_reason"))
            case "message_stop":
                return self._terminal() if self._begun or self._complete else self._broken(EMPTY)
            case "error":
                return self._failed(fields)
        return Verdict.PASS

    def metered(self) -> Metered:
        metered = super().metered()
        return replace(metered, sealed=tuple(self._sealed)) if self._sealed else metered

    def _note_sealed(self, part: Fields) -> None:
        """The signature of thinking, or thinking that nobody else may read."""
        sealed = part.get("signature") or (part.get("data") if part.get("type") == "redacted_thinking" else None)
        if isinstance(sealed, str):
            self._sealed.append(sealed)

    def _start(self, message: Fields) -> None:
        self._provider_id = identifier(message.get("id"))
        self._tell(message.get("usage"))
        usage = messages_usage(self._told) or Usage()
        self._told.pop("output_tokens", None)  # a beginning, not a count: unknown until `message_delta`
        self._usage = replace(usage, output=None, reasoning=None)

    def _tell(self, usage: object) -> None:
        self._told.update({name: value for name, value in fields_of(usage).items() if value is not None})


def _delta_has_content(delta: Fields) -> bool:
    text_field = _TEXT_OF_DELTA.get(str(delta.get("type")))
    return bool(delta.get(text_field)) if text_field else bool(delta)


def _block_has_content(block: Fields) -> bool:
    text_field = _EMPTY_AT_FIRST.get(str(block.get("type")))
    return bool(block.get(text_field)) if text_field else bool(block)
