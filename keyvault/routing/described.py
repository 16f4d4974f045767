"""Routes as plain values under the names that `routes.toml` uses: written, shown and compared as the same thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from keyvault.domain.differences import Change, Difference
from keyvault.domain.documents import toml_key, toml_value
from keyvault.domain.routes import Choice, Retries, Route

Description = dict[str, Any]

ROUTE_FIELDS: Final = ("targets", "fallbacks", "timeouts", "retries", "affinity")


def describe(route: Route) -> Description:
    """A route as the file has it; what is as usual is left out."""
    told: Description = {"targets": list(map(_choice, route.primary))}
    if route.fallbacks:
        told["fallbacks"] = list(map(_choice, route.fallbacks))
    if times := {name: _number(value) for name, value in asdict(route.timeouts).items() if value is not None}:
        told["timeouts"] = times
    if retries := _retries(route.retries):
        told["retries"] = retries
    return told if route.affinity else {**told, "affinity": False}


def write(routes: Iterable[Route]) -> str:
    """The file that says these routes."""
    return "\n".join(map(_table, routes))


def changes(old: Iterable[Route], new: Iterable[Route]) -> tuple[Change, ...]:
    """What makes the new routes of the old ones, sorted by alias."""
    before = {route.alias: describe(route) for route in old}
    after = {route.alias: describe(route) for route in new}
    found = (_change(alias, before.get(alias), after.get(alias)) for alias in sorted(before.keys() | after.keys()))
    return tuple(change for change in found if change is not None)


def _change(alias: str, old: Description | None, new: Description | None) -> Change | None:
    if new is None:
        return Change("-", f"route:{alias}")
    was = old or {}
    fields = ((name, was.get(name), new.get(name)) for name in ROUTE_FIELDS)
    differing = tuple(Difference(*field) for field in fields if field[1] != field[2])
    return Change("+" if old is None else "~", f"route:{alias}", differing) if differing else None


def _choice(choice: Choice) -> Any:
    """A text where nothing is special about the target."""
    told: Description = {} if choice.weight == 1 else {"weight": choice.weight}
    set_to = {name: value for name, value in choice.overrides.items() if value is not None}
    removed = [name for name, value in choice.overrides.items() if value is None]
    parameters = {"defaults": dict(choice.defaults), "overrides": set_to, "remove": removed}
    told |= {name: value for name, value in parameters.items() if value}
    return {"target": str(choice.target), **told} if told else str(choice.target)


def _retries(retries: Retries) -> Description:
    usual, told = asdict(Retries()), asdict(retries)
    changed = {name: value for name, value in told.items() if value != usual[name]}
    return {name: sorted(value) if name == "on" else _number(value) for name, value in changed.items()}


def _number(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds


def _table(route: Route) -> str:
    lines = [f"{name} = {_lines(value)}\n" for name, value in describe(route).items()]
    return f"[routes.{toml_key(route.alias)}]\n{''.join(lines)}"


def _lines(value: Any) -> str:
    """A list with tables in it has a line for each item."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + "".join(f"  {toml_value(item)},\n" for item in value) + "]"
    return toml_value(value)
