"""`routes.toml`: reads it, with the line of whatever is wrong.

[routes.fast]
targets = [
  { target = "openai/gpt-5-mini", weight = 3, defaults = { temperature = 0.2 } },
  "groq/llama-3.3-70b",
]
fallbacks = ["anthropic/claude-haiku-4-5"]
timeouts = { first_content = "30s" }

What is left out is as usual. `described` writes such a file; what it writes reads back as the same routes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from keyvault.domain.documents import Path, Places, located, read_toml, unknown
from keyvault.domain.names import fold, shown
from keyvault.domain.parameters import check_parameter, check_value
from keyvault.domain.routes import (
    Choice,
    Failure,
    Retries,
    Route,
    Target,
    Timeouts,
    check_alias,
    clashing,
    parse_target,
)
from keyvault.errors import ConfigurationError, UsageError
from keyvault.routing.described import ROUTE_FIELDS

CHOICE_FIELDS: Final = ("target", "weight", "defaults", "overrides", "remove")
TIMEOUT_FIELDS: Final = tuple(field.name for field in fields(Timeouts))
RETRY_FIELDS: Final = tuple(field.name for field in fields(Retries))

SHORTEST_S: Final = 0.001
LONGEST_S: Final = 86_400.0
LONGEST_WAIT_S: Final = 300.0
MOST_RETRIES: Final = 10
MOST_TARGETS: Final = 50
MOST_ROUTES: Final = 10_000
HEAVIEST: Final = 1_000_000

_DURATION: Final = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6})?)(ms|s|m|h)\Z")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

T = TypeVar("T")


def read(text: str, file: str, upstreams: Collection[str]) -> tuple[Route, ...]:
    """The routes that a file says, sorted by alias. `upstreams`: the names there are, as they were created.

    Raises `ConfigurationError` with file, line and place.
    """
    tree, places = read_toml(text, file)
    whole = _Part(tree, places, ())
    whole.check_names(("routes",), "section")
    if "routes" not in tree:  # such as an empty text from a pipe that broke
        raise ConfigurationError(f"{file}: no [routes]", hint="an empty [routes] is a file without routes")
    named = whole.part("routes", [])
    if len(named.values) > MOST_ROUTES:
        raise ConfigurationError(f"{file}: more than {MOST_ROUTES:,} routes")
    spelled = {fold(name): name for name in upstreams}
    routes = [_route(named.part(alias, ROUTE_FIELDS), alias, spelled) for alias in named.values]
    if (clash := clashing(route.alias for route in routes)) is not None:
        one, other = clash
        raise ConfigurationError(f"{named.at(other)}: as specific as {shown(one)}, and some names match both")
    return tuple(sorted(routes, key=lambda route: route.alias))


@dataclass(frozen=True, slots=True)
class _Part:
    """A table of the file, and where it stands."""

    values: Mapping[str, Any]
    places: Places
    path: Path

    def at(self, *more: str | int) -> str:
        return self.places.at((*self.path, *more))

    def check_names(self, known: Collection[str], what: str = "field") -> None:
        for name in self.values:
            if name not in known:
                raise unknown(self.at(name), what, name, known)

    def read(self, name: str, as_: Callable[[Any], T], otherwise: T) -> T:
        if name not in self.values:
            return otherwise
        with located(self.at(name)):
            return as_(self.values[name])

    def part(self, name: str, known: Collection[str]) -> _Part:
        """A table within, empty where it is left out. `known`: its fields; none: any."""
        values = self.values.get(name, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{self.at(name)}: expected a table")
        part = _Part(values, self.places, (*self.path, name))
        if known:
            part.check_names(known)
        return part

    def items(self, name: str) -> Iterator[tuple[Any, Path]]:
        """The items of a list, each with its place."""
        values = self.values.get(name, [])
        if not isinstance(values, list):
            raise ConfigurationError(f"{self.at(name)}: expected a list", hint=f'{name} = ["UPSTREAM/MODEL"]')
        if len(values) > MOST_TARGETS:
            raise ConfigurationError(f"{self.at(name)}: more than {MOST_TARGETS} targets")
        return ((value, (*self.path, name, number)) for number, value in enumerate(values))


def _route(part: _Part, alias: str, spelled: Mapping[str, str]) -> Route:
    with located(part.at()):
        check_alias(alias)
    seen: dict[Target, str] = {}
    primary, fallbacks = (
        tuple(_choice(value, place, part.places, spelled, seen) for value, place in part.items(name))
        for name in ("targets", "fallbacks")
    )
    if not primary:
        hint = f'targets = ["{next(iter(spelled.values()), "UPSTREAM")}/MODEL"]'
        raise ConfigurationError(f"{part.at('targets')}: a route needs a target", hint=hint)
    if not any(choice.weight for choice in primary):
        raise ConfigurationError(f"{part.at('targets')}: every weight is 0, so that nothing would serve")
    for number, choice in enumerate(fallbacks):
        if choice.weight != 1:
            raise ConfigurationError(f"{part.at('fallbacks', number)}: fallbacks come in order and have no weight")
    affinity = part.read("affinity", _flag, True)
    return Route(alias, primary, fallbacks, _timeouts(part), _retries(part), affinity)


def _choice(value: Any, place: Path, places: Places, spelled: Mapping[str, str], seen: dict[Target, str]) -> Choice:
    """A target as a text, or as a table with what is special about it. `seen`: those of the route so far."""
    table = {"target": value} if isinstance(value, str) else value
    if not isinstance(table, dict):
        raise ConfigurationError(f"{places.at(place)}: expected a target", hint='"UPSTREAM/MODEL"')
    part = _Part(table, places, place)
    part.check_names(CHOICE_FIELDS)
    if "target" not in table:
        raise ConfigurationError(f"{part.at()}: which target?", hint='{ target = "UPSTREAM/MODEL" }')
    with located(part.at("target") if table is value else part.at()):
        target = _target(table["target"], spelled)
    if target in seen:
        raise ConfigurationError(f"{part.at()}: target {target} for the second time", hint=f"first at {seen[target]}")
    seen[target] = part.at()
    return Choice(target, part.read("weight", _weight, 1), _parameters(part, "defaults"), _overrides(part))


def _target(value: Any, spelled: Mapping[str, str]) -> Target:
    if not isinstance(value, str):
        raise UsageError(f"expected a text, not {_kind(value)}", hint='"UPSTREAM/MODEL"')
    target = parse_target(value, as_named=True)
    if fold(target.upstream) not in spelled:
        near = difflib.get_close_matches(fold(target.upstream), spelled, n=1)
        hint = f"did you mean {spelled[near[0]]}?" if near else "gwctl upstreams list"
        raise UsageError(f"no such upstream: {shown(target.upstream)}", hint=hint)
    return Target(spelled[fold(target.upstream)], target.model)


def _parameters(part: _Part, name: str) -> dict[str, Any]:
    given = part.part(name, [])
    for field, value in given.values.items():
        with located(given.at(field)):
            check_value(check_parameter(field), value)
    return dict(given.values)


def _overrides(part: _Part) -> dict[str, Any]:
    """The fields that are set whatever the client said, and as None those that are taken out."""
    set_to = _parameters(part, "overrides")
    removed: list[str] = part.read("remove", _names, [])
    for number, field in enumerate(removed):
        with located(part.at("remove", number)):
            check_parameter(field)
        if field in set_to or field in part.values.get("defaults", {}):
            raise ConfigurationError(f"{part.at('remove', number)}: {field} is set here as well")
    return {**set_to, **dict.fromkeys(removed)}


def _timeouts(part: _Part) -> Timeouts:
    given = part.part("timeouts", TIMEOUT_FIELDS)
    times = {name: given.read(name, _timeout, None) for name in TIMEOUT_FIELDS}
    total = times["total"]
    for name, seconds in times.items():
        if total is not None and seconds is not None and seconds > total:
            raise ConfigurationError(f"{given.at(name)}: longer than the total of {total:g} s")
    return Timeouts(**times)


def _retries(part: _Part) -> Retries:
    given, usual = part.part("retries", RETRY_FIELDS), Retries()
    return Retries(
        on=given.read("on", _failures, usual.on),
        same_target=given.read("same_target", _times, usual.same_target),
        backoff=given.read("backoff", _wait, usual.backoff),
        longest_wait=given.read("longest_wait", _wait, usual.longest_wait),
    )


def _timeout(value: Any) -> float | None:
    seconds = _seconds(value)
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise UsageError(f"expected 1ms to 24 hours, not {shown(str(value))}")
    return seconds


def _wait(value: Any) -> float:
    seconds = _seconds(value)
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise UsageError(f"expected 0 to {LONGEST_WAIT_S:.0f} seconds, not {shown(str(value))}")
    return seconds


def _seconds(value: Any) -> float:
    """Seconds as a number, or a text such as `250ms`, `30s`, `2m`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f"not a duration: {shown(str(value))}", hint='seconds as a number, or "250ms", "30s", "2m"')
    return round(float(match[1]) * _SECONDS[match[2]], 6)


def _weight(value: Any) -> int:
    return _whole(value, HEAVIEST)


def _times(value: Any) -> int:
    return _whole(value, MOST_RETRIES)


def _whole(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"expected a whole number, not {_kind(value)}")
    if not 0 <= value <= most:
        raise UsageError(f"expected 0 to {most:,}, not {shown(str(value))}")
    return value


def _failures(value: Any) -> frozenset[Failure]:
    known = [failure.value for failure in Failure]
    for name in (names := _names(value)):
        if name not in known:
            near = difflib.get_close_matches(name[:100], known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise UsageError(f"no such failure: {shown(name)}", hint=hint)
    return frozenset(map(Failure, names))


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise UsageError("expected a list of texts")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"expected true or false, not {_kind(value)}")
    return value


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {str: "a text", bool: "true or false", dict: "a table", list: "a list"}
    return kinds.get(type(value), shown(str(value)))
