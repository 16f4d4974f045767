"""Does a request refer to an object that is stored at the provider: a response, a conversation, a file, a container?

Such objects belong to the provider account that all keys share, so a key that may not use stateful endpoints may not
reach them through a stateless one either. Names are looked for in the bytes first; only a field that has one, or that
writes plain letters as escapes, is decoded. Of a field that stands twice in one object every value counts: parsers
differ on which one they take.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.errors import Refusal
from keyvault.proxy.dialects.bodies import Body
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.marks import Marks
from keyvault.proxy.dialects.plain import NESTING

_TOP: Final = ("previous_response_id", "conversation", "container")
_NESTED: Final = ("file_id", "file_ids", "vector_store_id", "vector_store_ids", "container_id")
_TYPES: Final = frozenset({"item_reference", "container_upload"})

_MARKS: Final = Marks(begins=(b"file_id", b"vector_store_id", b"container", b"item_reference"))
_MARKS_IN_TALK: Final = {
    Dialect.CHAT: Marks(begins=(b"file_id",)),
    Dialect.RESPONSES: Marks(begins=(b"file_id", b"item_reference", b"image_generation_call")),
    Dialect.MESSAGES: Marks(begins=(b"file_id", b"container_upload")),
}
"""What can stand in `messages` and `input`."""
_ITEM_MARKS: Final = Marks(begins=(b'id"',))
_TALK: Final = frozenset({"messages", "input", "system", "instructions"})
_TOOL_ARGUMENTS: Final = "input"
"""Of Anthropic's `tool_use`: whatever a tool was called with, not a reference."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Item(msgspec.Struct):
    """An item of `input`. The decoder checks each value of a field that stands twice, not only the one it keeps."""

    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: _Text | msgspec.UnsetType = msgspec.UNSET
    role: _Text | msgspec.UnsetType = msgspec.UNSET


_items = msgspec.json.Decoder(list[_Item])


def stored_reference(dialect: Dialect, body: Body) -> str | None:
    """The name of the field that refers to a stored object, None where there is none. Raises `Refusal`."""
    if not isinstance(body, JsonBody) or body.everyday:
        return None
    for name in _TOP:
        if name in body.fields and bytes(body.fields[name]) != b"null":
            return name
    if dialect is Dialect.RESPONSES and bytes(body.fields.get("prompt", b"")).startswith(b"{"):
        return "prompt"
    if dialect is Dialect.RESPONSES and "input" in body.looked_through and refers_to_item(bytes(body.fields["input"])):
        return "item_reference"
    for name in body.looked_through:
        if found := _in_field(dialect, name, bytes(body.fields[name])):
            return found
    return None


def _in_field(dialect: Dialect, name: str, value: bytes) -> str | None:
    marks = _MARKS_IN_TALK.get(dialect, _MARKS) if name in _TALK else _MARKS
    if not marks.stand_in(value):
        return None
    try:
        return _nested(json.loads(value, object_pairs_hook=every_value))
    except RecursionError:
        raise Refusal(400, "invalid_json", "could not read the request body: it is nested too deeply") from None


def refers_to_item(value: bytes) -> bool:
    """Whether an item of `input` is nothing but an `id`: without `type` and `role` it stands for a stored item."""
    if not value.startswith(NESTING) or not _ITEM_MARKS.stand_in(value):
        return False
    unset = msgspec.UNSET
    try:
        return any(each.type is unset and each.role is unset and each.id is not unset for each in _items.decode(value))
    except (msgspec.ValidationError, RecursionError):  # something unusual: read it whole
        return _names_item(value)


def _names_item(value: bytes) -> bool:
    try:
        items = json.loads(value, object_pairs_hook=every_value)
    except RecursionError:
        raise Refusal(400, "invalid_json", "could not read the request body: it is nested too deeply") from None
    found = [item for item in (items if isinstance(items, list) else [items]) if isinstance(item, dict)]
    return any("id" in item and not _said(item.get("type")) and not _said(item.get("role")) for item in found)


def _said(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(each, str) and each for each in values)


def every_value(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object; a field that stands in it more than once has the list of its values."""
    found = dict(pairs)
    if len(found) < len(pairs):
        given = {name: [value for other, value in pairs if other == name] for name in found}
        found = {name: values if len(values) > 1 else values[0] for name, values in given.items()}
    return found


def _nested(value: Any) -> str | None:
    """Depth first. A tool's schema may well describe a `file_id`: there its value is an object, not an id."""
    if isinstance(value, list):
        return next((found for item in value if (found := _nested(item))), None)
    if not isinstance(value, dict):
        return None
    kinds = texts(value.get("type"))
    if named := _TYPES.intersection(kinds):
        return min(named)
    for name in _NESTED:
        if _is_id(value.get(name)):
            return name
    if "image_generation_call" in kinds and not texts(value.get("result")):
        return "image_generation_call"
    if "code_interpreter" in kinds and texts(value.get("container")):
        return "container"
    inner = (item for name, item in value.items() if not (kinds == ["tool_use"] and name == _TOOL_ARGUMENTS))
    return next((found for item in inner if (found := _nested(item))), None)


def _is_id(value: Any) -> bool:
    return bool(texts(value)) or (isinstance(value, list) and any(texts(item) for item in value))


def texts(value: Any) -> list[str]:
    """The texts that a value is, or is a list of."""
    return [item for item in (value if isinstance(value, list) else (value,)) if isinstance(item, str)]
