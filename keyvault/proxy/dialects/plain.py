"""Which fields of a body must be looked through for what they name: media, stored objects, marks for a cache.

Most requests are talk that is nothing but text. The decoder tells, in one pass: a message with a field, a role or a
part that is not listed here is looked through like any other field. Of a field that stands twice in one object the
decoder checks every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec
from msgspec import Raw

TALK: Final = frozenset({"messages", "input", "system", "instructions", "prompt"})
"""The fields that what is said stands in."""
NESTING: Final = (b"{", b"[")
"""A text or a number names nothing."""


class _Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["text", "input_text", "output_text"]
    text: str


class _Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    name: str
    arguments: str


class _ToolCall(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


Talk = str | list[_Message | str | int | list[int]]
"""Talk that is nothing but text."""
_decode_talk = msgspec.json.Decoder(Talk).decode


def looked_through(fields: Mapping[str, Raw]) -> tuple[str, ...]:
    """The names of the fields to look through, in order."""
    found = []
    for name, raw in fields.items():
        if name in TALK and _is_text(raw):
            continue
        if bytes(raw).startswith(NESTING):
            found.append(name)
    return tuple(found)


def _is_text(talk: Raw) -> bool:
    try:
        _decode_talk(talk)
    except msgspec.DecodeError:
        return False
    return True
