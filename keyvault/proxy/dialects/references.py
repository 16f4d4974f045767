"""Does a request refer to an object that is stored at the provider: a response, a conversation, a file, a container?

Such objects belong to the provider account that all keys share, so a key that may not use stateful endpoints may not
reach them through a stateless one either. Names are looked for in the bytes first; only a field that has one, or that
writes plain letters as escapes, is decoded.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.bodies import Body
from keyvault.proxy.dialects.fields import JsonBody

_TOP: Final = ("previous_response_id", "conversation", "container")
_NESTED: Final = ("file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id")
_TYPES: Final = frozenset({"item_reference", "container_upload"})

_ESCAPES: Final = b"\\u00"
_MARKS: Final = (b'"file_id', b'"vector_store_id', b'"container', b'"item_reference"', _ESCAPES)
_MARKS_IN_TALK: Final = {
    Dialect.CHAT: (b'"file_id', _ESCAPES),
    Dialect.RESPONSES: (b'"file_id', b'"item_reference"', _ESCAPES),
    Dialect.MESSAGES: (b'"file_id', b'"container_upload"', _ESCAPES),
}
"""What can stand in `messages` and `input`, which are large: each search of 400 kB takes a tenth of a millisecond."""
_TALK: Final = frozenset({"messages", "input", "system", "instructions"})
_TOOL_ARGUMENTS: Final = "input"
"""Of Anthropic's `tool_use`: whatever a tool was called with, not a reference."""

_anything = msgspec.json.Decoder(Any)


def stored_reference(dialect: Dialect, body: Body) -> str | None:
    """The name of the field that refers to a stored object, None where there is none."""
    if not isinstance(body, JsonBody):
        return None
    for name in _TOP:
        if name in body.fields and bytes(body.fields[name]) != b"null":
            return name
    if dialect is Dialect.RESPONSES and bytes(body.fields.get("prompt", b"")).startswith(b"{"):
        return "prompt"
    for name, value in body.fields.items():
        if found := _in_field(dialect, name, bytes(value)):
            return found
    return None


def _in_field(dialect: Dialect, name: str, value: bytes) -> str | None:
    marks = _MARKS_IN_TALK.get(dialect, _MARKS) if name in _TALK else _MARKS
    return _nested(_anything.decode(value)) if any(mark in value for mark in marks) else None


def _nested(value: Any) -> str | None:
    """Depth first. A tool's schema may well describe a `file_id`: there its value is an object, not an id."""
    if isinstance(value, list):
        return next((found for item in value if (found := _nested(item))), None)
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return kind
    for name in _NESTED:
        if _is_id(value.get(name)):
            return name
    if kind == "code_interpreter" and isinstance(value.get("container"), str):
        return "container"
    inner = (item for name, item in value.items() if not (kind == "tool_use" and name == _TOOL_ARGUMENTS))
    return next((found for item in inner if (found := _nested(item))), None)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and any(isinstance(item, str) for item in value))
