"""`tenants.toml`: reads it with the line of whatever is wrong, and writes what is as such a file.

[customers.acme]
multiplier = "1.15"

[projects."acme/web"]

[keys.ci-bot]
project = "acme/web"
models = ["gpt-5*"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from keyvault.domain.documents import Places, read_toml, toml_key, toml_value, unknown
from keyvault.domain.keys import Customer, Key, Project
from keyvault.domain.names import fold, shown
from keyvault.errors import ConfigurationError
from keyvault.tenants import described, fields
from keyvault.tenants.fields import Table
from keyvault.tenants.wanted import Wanted

SECTIONS: Final = ("customers", "projects", "keys")

W = TypeVar("W")


def read(text: str, file: str) -> Wanted:
    """What a file wants. Raises `ConfigurationError` with file, line and key path."""
    tree, places = read_toml(text, file)
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


def _things(tree: Mapping[str, Any], section: str, places: Places, read_one: Callable[[str, Table], W]) -> Iterator[W]:
    found = tree.get(section, {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{places.at((section,))}: expected tables such as [{section}.NAME]")
    seen: dict[str, str] = {}
    for name, values in found.items():
        where = places.at((section, name))
        if not isinstance(values, dict):
            raise ConfigurationError(f"{where}: expected a table", hint=f"[{section}.{toml_key(name[:70])}]")
        if fold(name) in seen:
            raise ConfigurationError(f"{where}: the same name as {shown(seen[fold(name)])}: case does not count")
        seen[fold(name)] = name
        yield read_one(name, Table(values, _at(places, section, name)))


def _table(section: str, name: str, values: Mapping[str, Any]) -> str:
    lines = [f"{field} = {toml_value(value)}\n" for field, value in values.items()]
    return f"[{section}.{toml_key(name)}]\n{''.join(lines)}"


def _at(places: Places, section: str, name: str) -> Callable[[str], str]:
    return lambda field: places.at((section, name, field) if field else (section, name))
