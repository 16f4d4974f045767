"""`staging.toml`: reads it, with the line of whatever is wrong.

[replay]
file = "requests.jsonl"
max_cost = "2usd"

A section that is left out is a step that is not run; a field that is left out is as `plan` says. Files are named from
where the staging file is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from keyvault.domain.documents import Places, located, read_toml, unknown
from keyvault.domain.drills import Fault, check_lasts, parse_fault
from keyvault.domain.endpoints import Dialect
from keyvault.domain.guards import Guard
from keyvault.domain.names import parse_duration, shown
from keyvault.domain.rollouts import guards_of, parse_percent
from keyvault.domain.routes import parse_target
from keyvault.errors import ConfigurationError, UsageError
from keyvault.money import parse_usd
from opsconsole.staging.checking.sdks import installed
from opsconsole.staging.drilling.failing import PATHS
from opsconsole.staging.readiness.plan import (
    Alias,
    Check,
    Compare,
    Direct,
    Drill,
    Keys,
    Plan,
    Quota,
    Replay,
    Rollout,
    Spend,
)


def read(text: str, file: str) -> Plan:
    """Raises `ConfigurationError` with file, line and place."""
    tree, places = read_toml(text, file)
    for name in tree:
        if name not in _SECTIONS:
            raise unknown(places.at((name,)), "section", name, tuple(_SECTIONS))
    return Plan(**{name: _section(name, value, places) for name, value in tree.items()})


def _section(name: str, value: Any, places: Places) -> Any:
    kind, readers = _SECTIONS[name]
    return _read(kind, readers, value, (name,), places)


def _read(kind: type, readers: Mapping[str, Any], value: Any, path: tuple[str, ...], places: Places) -> Any:
    """A table as an instance of its class. `readers`: of each field, or the class and readers of a table within."""
    if not isinstance(value, dict):
        raise ConfigurationError(f"{places.at(path)}: expected a table", hint=f"[{'.'.join(path)}]")
    for name in value:
        if name not in readers:
            raise unknown(places.at((*path, name)), "field", name, tuple(readers))
    found: dict[str, Any] = {}
    for name, given in value.items():
        where: tuple[str, ...] = (*path, name)
        reader: Any = readers[name]
        if isinstance(reader, tuple):
            inner, fields = reader
            found[name] = _read(inner, fields, given, where, places)
        else:
            with located(places.at(where)):
                found[_FIELDS.get(name, name)] = reader(given)
    for name in _REQUIRED.get(kind, ()):
        if name not in found:
            raise ConfigurationError(f"{places.at(path)}: {name} is missing", hint=_EXAMPLES[name])
    return kind(**found)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UsageError(f"expected a text, not {shown(str(value))}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError("expected a list of texts")
    return tuple(map(_text, value))


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read_whole(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UsageError(f"expected a whole number from {least} to {most:,}, not {shown(str(value))}")
        return value

    return read_whole


def _number(least: float, most: float) -> Callable[[Any], float]:
    def read_number(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise UsageError(f"expected a number from {least:g} to {most:g}, not {shown(str(value))}")
        return float(value)

    return read_number


def _usd(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError("expected an amount", hint='max_cost = "2usd"')
    return parse_usd(str(value).lower().removesuffix("usd"))


def _dialect(value: Any) -> Dialect:
    if value not in list(PATHS):
        raise UsageError(f"not a dialect: {shown(str(value))}", hint=f"one of {', '.join(PATHS)}")
    return Dialect(value)


def _client(value: Any) -> str:
    if value not in ("sdk", "httpx"):
        raise UsageError(f"no such client: {shown(str(value))}", hint="sdk or httpx")
    if value == "sdk" and not installed():
        raise UsageError("the official SDKs are not installed", hint="pip install 'opsconsole[sdk]'")
    return str(value)


def _duration(value: Any) -> timedelta:
    return parse_duration(_text(value))


def _faults(value: Any) -> tuple[Fault, ...]:
    found = tuple(dict.fromkeys(map(parse_fault, map(str, value)))) if isinstance(value, list) else ()
    if not found:
        raise UsageError("expected a list of faults", hint='faults = ["refuse", "429", "500"]')
    return found


def _guards(value: Any) -> tuple[Guard, ...]:
    found = guards_of(_texts(value))
    if not found:
        raise UsageError("a rollout needs a guard", hint="guards = ['error_rate < +1%']")
    return found


_DIRECT: Final = (Direct, {"url": _text, "key_file": _text, "model": _text})
_SECTIONS: Final[Mapping[str, tuple[type, Mapping[str, Any]]]] = {
    "alias": (Alias, {"name": _text, "dialect": _dialect, "key": _text}),
    "check": (
        Check,
        {"only": _texts, "ignore": _texts, "tolerate": _whole(0, 100), "client": _client, "direct": _DIRECT},
    ),
    "replay": (
        Replay,
        {
            "file": _text,
            "model": _text,
            "limit": _whole(1, 1_000_000),
            "max_cost": _usd,
            "concurrency": _whole(1, 200),
            "tolerate": _whole(0, 1_000_000),
            "slower": _number(0.1, 1000),
            "dearer": _number(0.1, 1000),
            "direct": _DIRECT,
        },
    ),
    "compare": (
        Compare,
        {
            "prompts": _text,
            "models": _texts,
            "baseline": _text,
            "margin": _number(0, 100),
            "judge": _text,
            "repeat": _whole(1, 50),
            "limit": _whole(1, 2000),
            "least": _whole(1, 2000),
            "max_cost": _usd,
        },
    ),
    "drill": (
        Drill,
        {
            "faults": _faults,
            "target": lambda value: parse_target(_text(value)),
            "requests": _whole(1, 200),
            "for": lambda value: check_lasts(_duration(value)),
        },
    ),
    "quota": (Quota, {}),
    "spend": (Spend, {"requests": _whole(2, 200)}),
    "keys": (Keys, {"within": _duration}),
    "rollout": (
        Rollout,
        {
            "to": lambda value: parse_target(_text(value)),
            "percent": lambda value: parse_percent(str(value)),
            "guards": _guards,
            "requests": _whole(10, 10_000),
            "tolerate": _whole(0, 10_000),
        },
    ),
}
_FIELDS: Final[Mapping[str, str]] = {"max_cost": "max_cost_pico", "percent": "percent_ppm", "for": "lasts"}
"""Fields of the file that are called otherwise here."""
_REQUIRED: Final[Mapping[type, tuple[str, ...]]] = {
    Direct: ("url",),
    Replay: ("file",),
    Compare: ("prompts", "models"),
    Rollout: ("to",),
}
_EXAMPLES: Final = {
    "url": 'url = "https://api.openai.com/v1"',
    "file": 'file = "requests.jsonl"',
    "prompts": 'prompts = "prompts.jsonl"',
    "models": 'models = ["gpt-5"]',
    "to": 'to = "UPSTREAM/MODEL"',
}
