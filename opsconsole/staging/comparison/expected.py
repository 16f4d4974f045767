"""What a right answer is, as a prompt's `expected` says it, and whether an answer is one.

Several ways may stand together, and all of them must hold then:

- `exact`: the whole text, blanks around it aside; of several texts any one;
- `contains`: a text that must be in it; of several all;
- `regex`: a pattern that is found in it;
- `numeric`: a number, which must be the last one in the text, within `tolerance` (absolute) or `relative` (a share);
- `schema`: a JSON schema that the text, which must be JSON and nothing else, fulfils;
- `tool`: the name of a tool that must be called, or `{"name", "arguments"}`: arguments named must be as given.

`ignore_case: true` holds for `exact`, `contains` and `regex`. An answer that failed is never right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyvault.errors import UsageError
from opsconsole.staging.asking.said import ToolCall
from opsconsole.staging.schemas import unusable, violations

_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-+]?\.\d+")
_BESIDE: Final = frozenset({"ignore_case", "tolerance", "relative"})


@dataclass(frozen=True, slots=True)
class Spoken:
    """Of an answer, what can be right or wrong."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()


Check = Callable[[Spoken], str | None]
"""Why an answer is not right; None: it is."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Judges answers to one prompt."""

    checks: tuple[Check, ...]

    def wrong(self, spoken: Spoken) -> str | None:
        """Why an answer is not right; None: it is."""
        return next((why for check in self.checks if (why := check(spoken)) is not None), None)


def expectation(told: Mapping[str, Any]) -> Expectation:
    """What a prompt expects. Raises `UsageError`."""
    unknown = [name for name in told if name not in _WAYS and name not in _BESIDE]
    if unknown:
        hint = f"one of {', '.join(_WAYS)}"
        raise UsageError(f"not a way to say what is expected: {str(unknown[0])[:40]!a}", hint=hint)
    checks = tuple(_WAYS[name](value, told) for name, value in told.items() if name in _WAYS)
    if not checks:
        raise UsageError("an expected answer that says nothing", hint='such as {"exact": "Paris"}')
    return Expectation(checks)


def _exact(value: Any, told: Mapping[str, Any]) -> Check:
    wanted = [_folded(each.strip(), told) for each in _texts("exact", value)]

    def check(spoken: Spoken) -> str | None:
        return None if _folded(spoken.text.strip(), told) in wanted else "not the expected text"

    return check


def _contains(value: Any, told: Mapping[str, Any]) -> Check:
    wanted = _texts("contains", value)

    def check(spoken: Spoken) -> str | None:
        text = _folded(spoken.text, told)
        missing = next((each for each in wanted if _folded(each, told) not in text), None)
        return None if missing is None else f"without {missing[:60]!a}"

    return check


def _regex(value: Any, told: Mapping[str, Any]) -> Check:
    [pattern] = _texts("regex", value)[:1]
    try:
        found = re.compile(pattern, re.IGNORECASE if told.get("ignore_case") else 0)
    except re.error as error:
        raise UsageError(f"not a regular expression: {pattern[:60]!a} ({error.msg})") from None
    return lambda spoken: None if found.search(spoken.text) else "does not match the pattern"


def _numeric(value: Any, told: Mapping[str, Any]) -> Check:
    wanted = _number(value, "numeric")
    within = max(
        _number(told.get("tolerance", 0), "tolerance"), _number(told.get("relative", 0), "relative") * abs(wanted), 1e-9
    )

    def check(spoken: Spoken) -> str | None:
        numbers = _NUMBER.findall(spoken.text)
        if not numbers:
            return "no number in it"
        last = float(numbers[-1].replace(",", ""))
        return None if abs(last - wanted) <= within else f"{last:g} instead of {wanted:g}"

    return check


def _schema(value: Any, _: Mapping[str, Any]) -> Check:
    if (why := unusable(value)) is not None:
        raise UsageError(f"not a JSON schema to judge by: {why}")

    def check(spoken: Spoken) -> str | None:
        try:
            found = json.loads(spoken.text)
        except (ValueError, RecursionError):
            return "not JSON"
        return next(violations(value, found), None)

    return check


def _tool(value: Any, _: Mapping[str, Any]) -> Check:
    wanted = {"name": value} if isinstance(value, str) else value
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise UsageError("an expected tool has no name", hint='such as {"tool": {"name": "search"}}')
    name, arguments = wanted["name"], wanted.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise UsageError(f"the arguments expected of tool {name[:40]!a} are no object")

    def check(spoken: Spoken) -> str | None:
        calls = [call for call in spoken.tool_calls if call.name == name]
        if not calls:
            return f"no call of {name[:60]!a}"
        given = [_arguments(call) for call in calls]
        right = any(all(key in each and _same(each[key], told) for key, told in arguments.items()) for each in given)
        return None if right else f"{name[:60]!a} called with other arguments"

    return check


_WAYS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Check]]] = {
    "exact": _exact,
    "contains": _contains,
    "regex": _regex,
    "numeric": _numeric,
    "schema": _schema,
    "tool": _tool,
}


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        found = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _texts(way: str, value: Any) -> list[str]:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) and each for each in found):
        raise UsageError(f"what is expected by {way} is a text or a list of texts")
    return found


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"what is expected by {name} is a number")
    return float(value)


def _folded(text: str, told: Mapping[str, Any]) -> str:
    return text.casefold() if told.get("ignore_case") else text


def _same(one: Any, other: Any) -> bool:
    """Equality as JSON knows it: 1 is 1.0 and never true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)
