"""Whether a JSON value fulfils a schema: the part of JSON Schema (2020-12) that structured outputs are written in.

A keyword that is not known here is refused when the schema is read, so that nothing passes because nobody looked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from keyvault.errors import UsageError

Schema = Mapping[str, Any]

_DEEPEST: Final = 50
_REMARKS: Final = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated", "strict"}
)
"""Keywords that say nothing which a value could fail; `format` is such a one unless somebody agrees otherwise."""
_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def check_schema(schema: Any, root: Any = None, depth: int = 0) -> None:
    """Raises `UsageError` where a schema cannot be judged by."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict) or depth > _DEEPEST:
        raise UsageError("not a JSON schema: an object is expected, not too deep")
    for keyword, told in schema.items():
        if keyword not in _RULES and keyword not in _REMARKS and keyword not in ("$defs", "definitions"):
            raise UsageError(f"a JSON schema with a keyword that is not understood here: {keyword[:40]!a}")
        if keyword == "$ref":
            _resolved(told, schema if root is None else root)
        elif keyword == "type" and not all(each in _TYPES for each in _listed(told)):
            raise UsageError(f"a JSON schema with an unknown type: {str(told)[:40]!a}")
        elif keyword == "pattern":
            _compiled(told)
        for inner in _inner(keyword, told):
            check_schema(inner, schema if root is None else root, depth + 1)


def violations(value: Any, schema: Any, root: Any = None, where: str = "$", depth: int = 0) -> Iterator[str]:
    """What about a value is not as the schema says, each as a line; the schema was checked."""
    if schema is True or schema is False:
        if schema is False:
            yield f"{where}: nothing is allowed here"
        return
    if depth > _DEEPEST:
        yield f"{where}: nested too deeply"
        return
    top = schema if root is None else root
    for keyword, told in schema.items():
        if keyword in _RULES:
            yield from _RULES[keyword](value, told, _Place(schema, top, where, depth))


class _Place:
    """Where in a value and its schema a rule is looked at."""

    __slots__ = ("depth", "root", "schema", "where")

    def __init__(self, schema: Schema, root: Any, where: str, depth: int) -> None:
        self.schema, self.root, self.where, self.depth = schema, root, where, depth

    def inner(self, value: Any, schema: Any, step: str = "") -> Iterator[str]:
        return violations(value, schema, self.root, self.where + step, self.depth + 1)

    def holds(self, value: Any, schema: Any) -> bool:
        return next(self.inner(value, schema), None) is None

    def broken(self, text: str) -> Iterator[str]:
        yield f"{self.where}: {text}"


Rule = Callable[[Any, Any, _Place], Iterator[str]]


def _type(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if not any(_TYPES[each](value) for each in _listed(told)):
        yield from at.broken(f"not of type {' or '.join(_listed(told))}")


def _properties(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if isinstance(value, dict):
        for name in told.keys() & value.keys():
            yield from at.inner(value[name], told[name], f".{name}")


def _required(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if isinstance(value, dict):
        for name in told:
            if name not in value:
                yield from at.broken(f"{name} is missing")


def _additional(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if isinstance(value, dict):
        for name in value.keys() - at.schema.get("properties", {}).keys():
            yield from at.inner(value[name], told, f".{name}")


def _items(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from at.inner(each, told, f"[{index}]")


def _unique(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if told and isinstance(value, list) and any(same(a, b) for at_, a in enumerate(value) for b in value[:at_]):
        yield from at.broken("items are not unique")


def _pattern(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if isinstance(value, str) and not _compiled(told).search(value):
        yield from at.broken("does not match its pattern")


def _any_of(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if not any(at.holds(value, each) for each in told):
        yield from at.broken("fulfils none of the alternatives")


def _one_of(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if sum(at.holds(value, each) for each in told) != 1:
        yield from at.broken("does not fulfil exactly one of the alternatives")


def _all_of(value: Any, told: Any, at: _Place) -> Iterator[str]:
    for each in told:
        yield from at.inner(value, each)


def _not(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if at.holds(value, told):
        yield from at.broken("fulfils what it must not")


def _equal(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if not same(value, told):
        yield from at.broken("is not the constant")


def _enum(value: Any, told: Any, at: _Place) -> Iterator[str]:
    if not any(same(value, each) for each in told):
        yield from at.broken("is none of the values allowed")


def _reference(value: Any, told: Any, at: _Place) -> Iterator[str]:
    yield from at.inner(value, _resolved(told, at.root))


def _measured(kind: Callable[[Any], bool], size: Callable[[Any], Any], fits: Callable[[Any, Any], bool]) -> Rule:
    """A rule about the size of values of one kind."""

    def rule(value: Any, told: Any, at: _Place) -> Iterator[str]:
        if kind(value) and not fits(size(value), told):
            yield from at.broken(f"out of its bound of {told}")

    return rule


def _bound(kind: str, size: Callable[[Any], Any], fits: Callable[[Any, Any], bool]) -> Rule:
    return _measured(_TYPES[kind], size, fits)


def _at_least(found: Any, told: Any) -> bool:
    return bool(found >= told)


def _at_most(found: Any, told: Any) -> bool:
    return bool(found <= told)


def _itself(value: Any) -> Any:
    return value


_RULES: Final[Mapping[str, Rule]] = {
    "type": _type,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _additional,
    "items": _items,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "allOf": _all_of,
    "not": _not,
    "const": _equal,
    "enum": _enum,
    "$ref": _reference,
    "minimum": _bound("number", _itself, _at_least),
    "maximum": _bound("number", _itself, _at_most),
    "exclusiveMinimum": _bound("number", _itself, lambda found, told: bool(found > told)),
    "exclusiveMaximum": _bound("number", _itself, lambda found, told: bool(found < told)),
    "multipleOf": _bound("number", _itself, lambda found, told: bool(abs(found / told - round(found / told)) < 1e-9)),
    "minLength": _bound("string", len, _at_least),
    "maxLength": _bound("string", len, _at_most),
    "minItems": _bound("array", len, _at_least),
    "maxItems": _bound("array", len, _at_most),
    "minProperties": _bound("object", len, _at_least),
    "maxProperties": _bound("object", len, _at_most),
}


def same(one: Any, other: Any) -> bool:
    """Equality as JSON knows it: 1 is 1.0 and never true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _inner(keyword: str, told: Any) -> Iterator[Any]:
    """The schemas within a keyword."""
    if keyword in ("properties", "$defs", "definitions"):
        if not isinstance(told, dict):
            raise UsageError(f"a JSON schema whose {keyword} is no object")
        yield from told.values()
    elif keyword in ("anyOf", "oneOf", "allOf"):
        yield from _listed(told)
    elif keyword in ("items", "additionalProperties", "not"):
        yield told


def _resolved(reference: Any, root: Any) -> Any:
    found: Any = root
    for step in str(reference).removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    if not str(reference).startswith("#") or found is None:
        raise UsageError(f"a JSON schema with a reference that leads nowhere: {str(reference)[:60]!a}")
    return found


def _compiled(pattern: Any) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError):
        raise UsageError(f"not a regular expression: {str(pattern)[:60]!a}") from None


def _listed(told: Any) -> list[Any]:
    return told if isinstance(told, list) else [told]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
