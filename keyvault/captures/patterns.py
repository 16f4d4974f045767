"""Regular expressions of an operator's own, held to a form that cannot run away.

Python's engine tries one way after the other to match: some expressions have more ways than there are atoms, and one
call of it stops every thread. So an expression must say how often each part may come, must not look around itself or
refer to itself, and the ways in which it can match from one place are counted, and bounded, before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from re import _parser as parser  # type: ignore[attr-defined]  # what `re` itself parses with, and nothing public does
from typing import Any, Final

from keyvault.errors import UsageError

LONGEST: Final = 200
MOST: Final = 10
WIDEST: Final = 256
"""Characters that one match may have."""
MOST_WAYS: Final = 1_000
"""Ways to match from one place: times the width, what one character of text can cost at worst."""

_PLAIN: Final = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"})
_REPEATS: Final = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_HINT: Final = r"for example --redact-pattern '\bEMP-[0-9]{4,8}\b'"


def check_patterns(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """The expressions, compiled. Raises `UsageError`."""
    if len(patterns) > MOST:
        raise UsageError(f"{len(patterns)} patterns are too many", hint=f"at most {MOST}")
    return tuple(map(_checked, patterns))


def _checked(text: str) -> re.Pattern[str]:
    shown = ascii(text[:60])
    if not 0 < len(text) <= LONGEST:
        raise UsageError(f"a pattern of {len(text)} characters", hint=f"1 to {LONGEST}; {_HINT}")
    try:
        tree = parser.parse(text)
        narrowest, widest = tree.getwidth()
        ways = _ways_of(tree)
        compiled = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"not a regular expression: {shown}: {str(error)[:80]}", hint=_HINT) from None
    except _Unbounded as error:
        raise UsageError(f"the pattern {shown} {error}", hint=_HINT) from None
    if narrowest == 0:
        raise UsageError(f"the pattern {shown} matches nothing at all, everywhere", hint=_HINT)
    if widest > WIDEST:
        raise UsageError(f"the pattern {shown} can match {widest} characters", hint=f"at most {WIDEST}; {_HINT}")
    if ways > MOST_WAYS:
        why = f"the pattern {shown} can match in {ways:,} ways from one place"
        raise UsageError(why, hint=f"at most {MOST_WAYS:,}: fewer parts that may come a varying number of times")
    return compiled


class _Unbounded(Exception):
    """Says, after the words "the pattern …", why its ways cannot be counted."""


def _ways_of(items: Iterable[tuple[Any, Any]]) -> int:
    """In how many ways a sequence can match from one place, at most."""
    ways = 1
    for kind, argument in items:
        ways *= _ways(str(kind), argument)
        if ways > MOST_WAYS**2:
            break  # far too many already, and numbers need not grow any further
    return ways


def _ways(kind: str, argument: Any) -> int:
    if kind in _PLAIN:
        return 1
    if kind == "SUBPATTERN":
        return _ways_of(argument[-1])
    if kind == "ATOMIC_GROUP":
        return _ways_of(argument)
    if kind == "BRANCH":
        return sum(map(_ways_of, argument[1]))
    if kind in _REPEATS:
        fewest, most, repeated = argument
        if most == parser.MAXREPEAT:
            raise _Unbounded("must say how often: {1,20} in place of + and *")
        once = min(_ways_of(repeated), MOST_WAYS**2)
        times = range(fewest, min(most, WIDEST) + 1)
        return min(sum(int(once ** min(time, 30)) for time in times), MOST_WAYS**2)
    raise _Unbounded("must not look around itself or refer to itself")
