"""Which stored objects a request names, wherever an id may stand: path, query, JSON, forms.

Two sieves. What stands in a field that is known to refer to an object *must* be the caller's own. Any other text that
looks like an id *may* be anything, but not what is on record as somebody else's: that catches fields this module does
not know. Whatever a provider could read in another way than we do (a field twice in one object, a field written in
another case, a reference as a file of a form, a body that is neither JSON nor a form) is refused or taken at its worst.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from keyvault.domain.objects import Action, Operation
from keyvault.errors import Refusal
from keyvault.proxy.dialects.bodies import Body, OpaqueBody
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.multipart import FormBody, form_fields

REFERENCES: Final = frozenset(
    {
        "assistant_id",
        "batch_id",
        "container",
        "container_id",
        "conversation",
        "conversation_id",
        "file_id",
        "file_ids",
        "input_file_id",
        "part_ids",
        "previous_response_id",
        "response_id",
        "skill_id",
        "thread_id",
        "training_file",
        "upload_id",
        "validation_file",
        "vector_store_id",
        "vector_store_ids",
    }
)
"""Fields whose texts are ids of stored objects, at any depth."""

_OBJECT_WITH_ID: Final = frozenset({"container", "conversation", "prompt"})
"""Fields that may be an object with the `id` of what is meant."""
_WITH_ID: Final = frozenset({"item_reference", "file_id"})
"""Types of objects whose `id` is a reference."""
_OF_ITEMS: Final = frozenset({"input", "items"})
"""Lists in which an object that says neither `type` nor `role` stands for the stored item of its `id`."""
_KEPT: Final = frozenset({"attachments", "vector_stores"})
"""Fields of assistants, threads and messages by which vector stores are made and filled."""
_CURSORS: Final = frozenset({"after", "before", "after_id", "before_id"})
_TEXT: Final = frozenset(
    {"arguments", "content", "description", "input", "instructions", "metadata", "model", "name", "output", "query",
     "prompt", "refusal", "system", "text", "title"}
)  # fmt: skip
"""Fields whose texts are words of the client's own, not ids."""
_LOOKS_LIKE_ID: Final = re.compile(r"[a-z][a-z0-9]{1,15}[-_][A-Za-z0-9_-]{3,180}\Z")
_MARKS: Final = (b'id"', b'ids"', b'_file"', b'"container"', b'"conversation"', b"\\u")
"""One of these is in every field of a body that names an object in ASCII; other letters may fold to ASCII ones."""
_BRACKETS: Final = re.compile(r"[\[\].]+")
_BUILT_IN: Final = "anthropic"
"""The `type` of a skill that everybody has."""


@dataclass(slots=True)
class Named:
    """The ids a request names."""

    must: dict[str, str] = field(default_factory=dict)
    """Id → the field that refers to it; has to be the caller's own."""
    may: set[str] = field(default_factory=set)
    """Looks like an id; must not be somebody else's."""
    keeps: bool = False
    """Something in it is put into a vector store."""

    def refer(self, name: str, value: Any) -> None:
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str) and text:
                self.must.setdefault(text, name)

    def mention(self, text: str) -> None:
        if _LOOKS_LIKE_ID.match(text):
            self.may.add(text)


class _Pairs(tuple[tuple[str, Any], ...]):
    """An object of JSON, as its fields in order."""

    __slots__ = ()


def named_in_query(operation: Operation | None, query: str, named: Named) -> None:
    """A list's cursors are own objects; below an object they are whatever lies there. Elsewhere too, a query goes on to
    the provider, so nothing in it may be somebody else's."""
    lists = operation is not None and operation.action is Action.LIST
    for name, value in parse_qsl(query, keep_blank_values=True):
        folded = _BRACKETS.split(name.casefold())[0]
        if folded in REFERENCES or (folded in _CURSORS and lists):
            named.refer(name, value)
        else:
            named.mention(value)


def named_in_body(body: Body, raw: bytes, content_type: bytes, named: Named, *, sure: bool) -> None:
    """`sure`: read every field, even one in which nothing hints at a reference. Raises `Refusal`."""
    try:
        if isinstance(body, JsonBody):
            for name, value in body.fields.items():
                _field(name, bytes(value), named, sure)
        elif isinstance(body, FormBody):
            _form(content_type, raw, named)
        elif isinstance(body, OpaqueBody) and body.raw.strip():
            raise Refusal(415, "unsupported_content_type", "this path takes application/json or a form")
    except RecursionError:
        raise Refusal(400, "invalid_json", "could not read the request body: it is nested too deeply") from None


def _field(name: str, raw: bytes, named: Named, sure: bool) -> None:
    folded = name.casefold()
    if sure or folded in REFERENCES or folded in _OBJECT_WITH_ID or _hints(raw):
        _walk(folded, json.loads(raw, object_pairs_hook=_pairs), named)


def _hints(raw: bytes) -> bool:
    lowered = raw.lower()
    return not raw.isascii() or any(mark in lowered for mark in _MARKS)


def _pairs(pairs: Sequence[tuple[str, Any]]) -> _Pairs:
    if len({name for name, _ in pairs}) < len(pairs):
        raise Refusal(400, "repeated_field", "a field is twice in one object of the request body")
    return _Pairs(pairs)


def _walk(name: str, value: Any, named: Named) -> None:
    """Depth first. `name`: of the field that holds the value, in lower case."""
    named.keeps = named.keeps or (name in _KEPT and bool(value))
    if isinstance(value, _Pairs):
        _object(name, value, named)
    elif isinstance(value, list):
        for item in value:
            if name in _OF_ITEMS and isinstance(item, _Pairs) and not _says_what_it_is(item):
                named.refer("id", dict(item).get("id"))
            _walk(name, item, named)
    elif isinstance(value, str):
        if name in REFERENCES:
            named.refer(name, value)
        elif name not in _TEXT:
            named.mention(value)


def _object(name: str, pairs: _Pairs, named: Named) -> None:
    kinds = [value for key, value in pairs if key.casefold() == "type"]
    refers = name in _OBJECT_WITH_ID or any(kind in _WITH_ID for kind in kinds if isinstance(kind, str))
    for key, value in pairs:
        folded = key.casefold()
        if folded == "id" and refers:
            named.refer("id", value)
        elif folded == "skill_id" and kinds == [_BUILT_IN]:
            continue
        elif not (folded == "input" and kinds == ["tool_use"]):  # whatever a tool was called with
            _walk(folded, value, named)


def _says_what_it_is(item: _Pairs) -> bool:
    return any(key.casefold() in ("type", "role") and isinstance(value, str) and value for key, value in item)


def _form(content_type: bytes, raw: bytes, named: Named) -> None:
    for name, value in form_fields(content_type, raw):
        words = [word for word in _BRACKETS.split(name.casefold()) if word]
        refers = bool(REFERENCES.intersection(words))
        if value is None and refers:
            raise Refusal(400, "invalid_form", f"the field {name[:60]!a} must be a short plain text", param=name[:60])
        if value is not None:
            _form_field(words[0] if words else "", value.strip(), refers, named)


def _form_field(name: str, value: str, refers: bool, named: Named) -> None:
    if not refers and name in _TEXT:
        return
    if value[:1] in ("{", "["):
        try:
            _walk(name, json.loads(value, object_pairs_hook=_pairs), named)
        except ValueError:
            named.refer(name, _words(value))  # what cannot be read is taken at its worst
    elif refers:
        named.refer(name, value)
    else:
        named.mention(value)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^A-Za-z0-9_-]+", text) if _LOOKS_LIKE_ID.match(word)]


def ids_at(answer: Any, path: str) -> Iterable[str]:
    """The texts at a path such as `output[].content[].id` of an answer."""
    values = [answer]
    for step in path.split("."):
        name = step.removesuffix("[]")
        values = [value.get(name) for value in values if isinstance(value, dict)]
        if step.endswith("[]"):
            values = [item for value in values if isinstance(value, list) for item in value]
    return [value for value in values if isinstance(value, str)]
