"""A JSON document as facts: which fields it has, of which types, and their values as they are spelled.

Items of a list share one path, `choices[].index`. Numbers keep their text, so that `1.0` and `1` differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opsconsole.staging.checking.aspects import Aspect, Facts

_EXPONENT: Final = re.compile("[eE]")


class Number(str):
    """A number, as it is spelled."""

    __slots__ = ()

    @property
    def spelling(self) -> str:
        if _EXPONENT.search(self):
            return "with an exponent"
        return "with decimals" if "." in self else "whole"


def read(text: str | bytes) -> Any:
    """The document; raises `ValueError` where the text is no JSON."""
    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def described(documents: Sequence[Any], event: str = "") -> Facts:
    """The facts of one document, or of all that one kind of event carried."""
    types: dict[str, set[str]] = {}
    spellings: dict[str, set[str]] = {}
    values: dict[str, list[str]] = {}
    for document in documents:
        for path, kind, value in _leaves(document, ""):
            types.setdefault(path, set()).add(kind)
            if isinstance(value, Number):
                spellings.setdefault(path, set()).add(value.spelling)
            if kind != "object":
                values.setdefault(path, []).append(value)
    facts = {Aspect("field", path, event): _all(found) for path, found in types.items() if path}
    facts |= {Aspect("spelling", path, event): _all(found) for path, found in spellings.items()}
    return facts | {Aspect("value", path, event): " ".join(found) for path, found in values.items() if path}


def outline(text: str) -> str:
    """What a JSON text is, such as `object(city, days)`; names of fields only."""
    try:
        value = read(text)
    except ValueError:
        return "not JSON"
    if isinstance(value, dict):
        return f"object({', '.join(sorted(value))})"
    return _kind(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """(path, type, value as text) of a value and of everything in it. A list's value is its length."""
    if isinstance(value, dict):
        yield path, "object", ""
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield path, "list", f"{len(value)} items"
        for inner in value:
            yield from _leaves(inner, f"{path}[]")
    else:
        yield path, _kind(value), value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    return "null" if value is None else "list" if isinstance(value, list) else "object"


def _all(found: set[str]) -> str:
    return " or ".join(sorted(found))
