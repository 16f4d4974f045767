"""`tenants.toml`: reads it with the line of whatever is wrong, and writes what is as such a file.

[customers.acme]
multiplier = "1.15"

[projects."acme/web"]

[keys.ci-bot]
project = "acme/web"
models = ["gpt-5*"]
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from keyvault.domain.keys import Customer, Key, Project
from keyvault.domain.names import fold, shown
from keyvault.errors import ConfigurationError
from keyvault.tenants import described, fields
from keyvault.tenants.fields import Table, unknown
from keyvault.tenants.wanted import Wanted

SECTIONS: Final = ("customers", "projects", "keys")
LARGEST: Final = 16 * 1024 * 1024
LONGEST_STATEMENT: Final = 200
"""Lines. Below a longer one nothing is told by its line."""
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")

W = TypeVar("W")


def read(text: str, file: str) -> Wanted:
    """What a file wants. Raises `ConfigurationError` with file, line and key path."""
    if len(text) > LARGEST:
        raise ConfigurationError(f"{file}: larger than 16 MiB")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file}: {str(error).lower()}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply") from None
    places = _Places(text, file)
    for section in tree:
        if section not in SECTIONS:
            raise unknown(places.at((section,)), "section", section, SECTIONS)
    return Wanted(
        customers=tuple(_things(tree, "customers", places, fields.customer)),
        projects=tuple(_things(tree, "projects", places, fields.project)),
        keys=tuple(_things(tree, "keys", places, fields.key)),
    )


def write(customers: Iterable[Customer], projects: Iterable[Project], keys: Iterable[Key]) -> str:
    """The file that wants what is. Ended keys are left out: nothing brings them back."""
    tables = [
        *(_table("customers", found.name, described.customer(found)) for found in customers),
        *(_table("projects", found.path, described.project(found)) for found in projects),
        *(_table("keys", found.name, described.key(found)) for found in keys if described.is_live(found)),
    ]
    return "\n".join(tables)


def _things(tree: Mapping[str, Any], section: str, places: _Places, read_one: Callable[[str, Table], W]) -> Iterator[W]:
    found = tree.get(section, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{places.at((section,))}: expected tables such as [{section}.NAME]")
    seen: dict[str, str] = {}
    for name, values in found.items():
        where = places.at((section, name))
        if not isinstance(values, dict):
            raise ConfigurationError(f"{where}: expected a table", hint=f"[{section}.{_quoted(name[:70])}]")
        if fold(name) in seen:
            raise ConfigurationError(f"{where}: the same name as {shown(seen[fold(name)])}: case does not count")
        seen[fold(name)] = name
        yield read_one(name, Table(values, places.of(section, name)))


def _table(section: str, name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{field} = {_value(value)}\n" for field, value in values.items()]
    return f"[{section}.{_quoted(name)}]\n{''.join(lines)}"


def _value(value: Any) -> str:
    """JSON's texts, lists, true and false are TOML's too, as far as all is printable ASCII."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_quoted(k)} = {json.dumps(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value)


def _quoted(name: str) -> str:
    return name if _BARE.match(name) else json.dumps(name)


class _Places:
    """On which line of a valid TOML text each table and each field begins.

    A text is a row of statements, each of one or more whole lines; the shortest run of lines that parses is one.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines: dict[tuple[str, ...], int] | None = None

    def of(self, section: str, name: str) -> Callable[[str], str]:
        return lambda field: self.at((section, name, field) if field else (section, name))

    def at(self, path: tuple[str, ...]) -> str:
        """`tenants.toml:12: keys.ci-bot.models`."""
        if self._lines is None:
            self._lines = {}
            for found, line in _statements(self._text):
                self._lines.setdefault(found, line)
        known = next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), None)
        return f"{self._file}{'' if known is None else f':{known}'}: {'.'.join(shown(part)[1:-1] for part in path)}"


def _statements(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """(path, line) of every table and field, in order."""
    table: tuple[str, ...] = ()
    begun, pending = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        begun, pending = (begun, pending + line + "\n") if pending else (number, line + "\n")
        if number - begun > LONGEST_STATEMENT:
            return
        try:
            said = list(_paths(tomllib.loads(pending), ()))
        except tomllib.TOMLDecodeError:
            continue
        if pending.lstrip().startswith("["):
            table = max(said, key=len)
            yield from ((path, begun) for path in said)
        else:
            yield from ((table + path, begun) for path in said)
        pending = ""


def _paths(tree: Any, above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path of everything in what one statement said."""
    for name, value in tree.items() if isinstance(tree, dict) else ():
        yield (*above, name)
        yield from _paths(value[0] if isinstance(value, list) and value else value, (*above, name))
