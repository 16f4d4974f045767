"""Routes: which targets serve an alias, in which order."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from keyvault.domain.names import check_model, check_name, shown
from keyvault.errors import UsageError

LONGEST_PATTERN: Final = 100
_AFTER_ALL: Final = "\x7f"
"""Greater than each letter of a name."""


class Target(NamedTuple):
    """An (upstream, model) pair that can serve an alias. A tuple, since each request looks it up a dozen times."""

    upstream: str
    model: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model}"


AS_NAMED: Final = "*"
"""As the model of a route's target: the name that the client asked for."""


def parse_target(text: str, *, as_named: bool = False) -> Target:
    """`openai/gpt-5` → Target; the model may itself contain slashes, and be `AS_NAMED` where that is allowed. Raises
    `UsageError`."""
    upstream, slash, model = text.partition("/")
    if not slash:
        raise UsageError(f"not a target: {text[:70]!a}", hint="write it as UPSTREAM/MODEL, such as openai/gpt-5")
    check_name("upstream", upstream)
    return Target(upstream, model if as_named and model == AS_NAMED else check_model(model))


def is_pattern(alias: str) -> bool:
    """Whether an alias stands for many names: `*` for any letters, `?` for one. Brackets are letters like others."""
    return "*" in alias or "?" in alias


def check_alias(text: str) -> str:
    """`text` if clients can ask for it, or if it is a pattern of such names. Raises `UsageError`."""
    if is_pattern(text) and len(text) > LONGEST_PATTERN:
        raise UsageError(f"a pattern of more than {LONGEST_PATTERN} characters: {shown(text)}")
    try:
        check_model(re.sub("[*?]", "x", text))
    except UsageError as error:
        raise UsageError(f"not a name that clients could ask for: {shown(text)}", hint=error.hint) from None
    return text


def precision(pattern: str) -> tuple[int, int]:
    """How specific a pattern is: of two that match a name, the higher one holds. First the letters that are no
    wildcard, then the fewer `*`."""
    return len(re.sub("[*?]", "", pattern)), -pattern.count("*")


def clashing(aliases: Iterable[str]) -> tuple[str, str] | None:
    """Two patterns of which neither is the more specific, while some names match both; None where there are none."""
    patterns = list(filter(is_pattern, aliases))
    by_precision: dict[tuple[int, int], list[str]] = {}
    for pattern in patterns:
        by_precision.setdefault(precision(pattern), []).append(pattern)
    pairs = (pair for equals in by_precision.values() for pair in _near(equals))
    found = next((pair for pair in pairs if overlap(*pair)), None)
    if found is None:
        return None
    one, other = sorted(found, key=patterns.index)
    return one, other


def _near(patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of which the letters before the first wildcard agree, or those after the last, whichever are fewer: no
    other two can match one name, and of thousands of patterns hardly any two are."""
    ways = (_agreeing(patterns, edge) for edge in (_head, _tail))
    ordered, ends = min(ways, key=lambda way: sum(way[1]))
    return ((one, ordered[at]) for first, one in enumerate(ordered) for at in range(first + 1, ends[first]))


def _agreeing(patterns: Sequence[str], edge: Callable[[str], str]) -> tuple[list[str], list[int]]:
    """The patterns sorted by an edge, and for each where those end whose edge begins with its own."""
    ordered = sorted(patterns, key=edge)
    edges = list(map(edge, ordered))
    return ordered, [bisect.bisect(edges, each + _AFTER_ALL) for each in edges]


def _head(pattern: str) -> str:
    return re.split("[*?]", pattern, maxsplit=1)[0]


def _tail(pattern: str) -> str:
    return _head(pattern[::-1])


def overlap(one: str, other: str) -> bool:
    """Whether some name matches both patterns."""
    reached = {(0, 0)}
    waiting = [(0, 0)]
    while waiting:
        i, j = waiting.pop()
        if i == len(one) and j == len(other):
            return True
        for step in _steps(one[i : i + 1], other[j : j + 1]):
            following = (i + step[0], j + step[1])
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    return False


def _steps(a: str, b: str) -> list[tuple[int, int]]:
    """How far two patterns can go on together: past a `*`, or past a letter that both can be."""
    ways = [(1, 0)] * (a == "*") + [(0, 1)] * (b == "*")
    if a and b and (a == b or "*" in (a, b) or "?" in (a, b)):
        ways.append((int(a != "*"), int(b != "*")))
    return ways


class Failure(StrEnum):
    """Kinds of failure that a route may try again, on the same target or the next."""

    CONNECT = "connect"
    """No connection: refused, unreachable, TLS."""
    TIMEOUT = "timeout"
    """No content in time, or silence in the middle of an answer that was not yet begun."""
    BROKEN = "broken"
    """The connection ended, or what came was no answer."""
    OVERLOADED = "overloaded"
    """408, 409, 429, 529, and what else says: later."""
    SERVER = "server"
    """Any other 5xx."""
    REFUSED = "refused"
    """401, 402, 403: the provider refuses the gateway's own account."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds; None: as the settings say."""

    connect: float | None = None
    first_content: float | None = None
    idle: float | None = None
    total: float | None = None
    """Over all attempts of a request."""


@dataclass(frozen=True, slots=True)
class Retries:
    """What is tried again, before anything of an answer was sent on."""

    on: frozenset[Failure] = frozenset(Failure)
    """Failures after which another try is made."""
    same_target: int = 0
    """How often the same target is tried again before the next one is."""
    backoff: float = 0.25
    """Seconds before the first try on the same target; doubled each time, with jitter."""
    longest_wait: float = 5.0
    """The longest back-off, and the longest `Retry-After` that is waited for."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A target of a route, with what is special about it there."""

    target: Target
    weight: int = 1
    """Its share of the traffic beside the other targets of the same rank; 0: none but what is pinned or bound to it."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request body where the client gave none."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request body whatever the client gave; None takes the field out."""


@dataclass(frozen=True, slots=True)
class Route:
    """What serves an alias. An alias may be a pattern such as `gpt-*`; `*` is the default route."""

    alias: str
    primary: tuple[Choice, ...]
    """One of them serves, by weight."""
    fallbacks: tuple[Choice, ...] = ()
    """Tried in order when it fails, after the other primary ones."""
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    affinity: bool = True
    """Conversation state goes back to the target that made it."""

    @classmethod
    def of(cls, alias: str, targets: Sequence[Target]) -> Route:
        """The plainest route: the first target serves, the others are fallbacks in order."""
        first, *others = map(Choice, targets)
        return cls(alias, (first,), tuple(others))

    @property
    def choices(self) -> tuple[Choice, ...]:
        """The primary ones, then the fallbacks, in the order in which they are listed."""
        return (*self.primary, *self.fallbacks)

    @property
    def targets(self) -> tuple[Target, ...]:
        """All of them, in the order in which they are listed."""
        return tuple(choice.target for choice in self.choices)


@dataclass(frozen=True, slots=True)
class Revision:
    """A numbered, immutable snapshot of all routes."""

    number: int
    created_at: datetime
    actor: str
    routes: tuple[Route, ...]
    """Sorted by alias."""
