"""Does a request refer to an object that is stored at the provider: a response, a conversation, a file, a container?

Such objects belong to the provider account that all keys share, so a key that may not use stateful endpoints may not
reach them through a stateless one either. Names are looked for in the bytes first; only a body that has one, or that
writes plain letters as escapes, is decoded as a whole.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.proxy.dialects.bodies import Body
from keyvault.proxy.dialects.fields import JsonBody

_TOP: Final = ("previous_response_id", "conversation", "container")
_NESTED: Final = ("file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id")
_TYPES: Final = frozenset({"item_reference", "container_upload"})
_MARKS: Final = re.compile(
    rb'"(?:file_ids?|vector_store_ids?|container_id|container|item_reference|container_upload)"|\\u00[2-7]'
)
_BEGINNINGS: Final = (b'"file_id', b'"vector_store_id', b'"container', b'"item_reference"', b"\\u00")
"""How the marks begin. Looking for each of them takes a third or less of what the expression takes."""
_TOOL_ARGUMENTS: Final = "input"
"""Of Anthropic's `tool_use`: whatever a tool was called with, not a reference."""

_anything = msgspec.json.Decoder(Any)


def stored_reference(dialect: Dialect, body: Body, raw: bytes) -> str | None:
    """The name of the field that refers to a stored object, None where there is none. `raw`: the body as it came."""
    if not isinstance(body, JsonBody):
        return None
    fields = body.fields
    for name in _TOP:
        if name in fields and bytes(fields[name]) != b"null":
            return name
    if dialect is Dialect.RESPONSES and bytes(fields.get("prompt", b"")).startswith(b"{"):
        return "prompt"
    return _nested(_anything.decode(raw)) if _is_marked(raw) else None


def _is_marked(raw: bytes) -> bool:
    return any(beginning in raw for beginning in _BEGINNINGS) and _MARKS.search(raw) is not None


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
