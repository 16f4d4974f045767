"""Reads the fields of customers, projects and keys from plain values, whatever file they came from.

A wrong value is a `ConfigurationError` that says where it stands; an unknown field is one too, with the name that was
probably meant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from keyvault.domain.documents import located, unknown
from keyvault.domain.keys import (
    ATTRIBUTIONS,
    ENVIRONMENTS,
    UNCHANGED,
    PolicyChange,
    Unchanged,
    check_policy,
    multiplier_ppm,
)
from keyvault.domain.keys import Policy as _Policy
from keyvault.domain.names import check_name, check_tags, parse_duration, shown, split_project
from keyvault.errors import UsageError
from keyvault.keys.making import KeyChange
from keyvault.money import parse_usd
from keyvault.tenants.described import NEVER, NONE
from keyvault.tenants.wanted import WantedCustomer, WantedKey, WantedProject

CUSTOMER_FIELDS: Final = ("multiplier", "suspended", "never_capture", "tags")
PROJECT_FIELDS: Final = ("suspended", "tags")
KEY_FIELDS: Final = (
    "project", "env", "state", "models", "endpoints", "addresses", "expose", "pin", "isolation", "rotate_every",
    "attribute", "clamp", "bound", "abort", "expires", "tags",
)  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Table:
    """One thing's fields. `at` says where a field stands, or with "" the thing itself."""

    values: Mapping[str, Any]
    at: Callable[[str], str]

    def read(self, field: str, as_: Callable[[Any], T]) -> T | Unchanged:
        """The field's value, `UNCHANGED` where it is left out."""
        if field not in self.values:
            return UNCHANGED
        with located(self.at(field)):
            return as_(self.values[field])

    def check_names(self, known: Collection[str]) -> None:
        for field in self.values:
            if field not in known:
                raise unknown(self.at(field) if len(field) < 100 else self.at(""), "field", field, known)


def customer(name: str, table: Table) -> WantedCustomer:
    table.check_names(CUSTOMER_FIELDS)
    with located(table.at("")):
        check_name("customer", name)
    return WantedCustomer(
        name=name,
        where=table.at(""),
        multiplier_ppm=table.read("multiplier", _multiplier),
        suspended=table.read("suspended", _flag),
        never_capture=table.read("never_capture", _flag),
        tags=table.read("tags", _tags),
    )


def project(path: str, table: Table) -> WantedProject:
    table.check_names(PROJECT_FIELDS)
    with located(table.at("")):
        split_project(path)
    return WantedProject(
        path=path,
        where=table.at(""),
        suspended=table.read("suspended", _flag),
        tags=table.read("tags", _tags),
    )


def key(name: str, table: Table) -> WantedKey:
    table.check_names(KEY_FIELDS)
    with located(table.at("")):
        check_name("key", name)
    policy = PolicyChange(
        models=table.read("models", _models),
        endpoints=table.read("endpoints", _endpoints),
        addresses=table.read("addresses", _addresses),
        expose=table.read("expose", _flag),
        pin=table.read("pin", _flag),
        isolation=table.read("isolation", _flag),
        rotate_every_s=table.read("rotate_every", _rotate_every),
        attribute=table.read("attribute", _attribute),
        clamp=table.read("clamp", _flag),
        bound_pico=table.read("bound", _bound),
        free_aborts=table.read("abort", lambda value: _word(value, ("free", "charge")) == "free"),
    )
    return WantedKey(
        name=name,
        where=table.at(""),
        project=table.read("project", _project),
        env=table.read("env", lambda value: _word(value, ENVIRONMENTS)),
        suspended=table.read("state", lambda value: _word(value, ("active", "suspended")) == "suspended"),
        change=KeyChange(policy, table.read("expires", _expires), table.read("tags", _tags)),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"expected a text, got {_kind(value)}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise UsageError(f"expected a list of texts, got {_kind(value)}")
    return tuple(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"expected true or false, got {_kind(value)}")
    return value


def _word(value: Any, known: tuple[str, ...]) -> str:
    if _text(value) not in known:
        raise UsageError(f"no such choice: {shown(value)}", hint=f"one of {', '.join(known)}")
    return str(value)


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise UsageError(f"expected a table of texts, got {_kind(value)}")
    return check_tags(value)


def _multiplier(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"expected a number, got {_kind(value)}")
    try:
        return multiplier_ppm(Decimal(str(value)))
    except InvalidOperation:
        raise UsageError(f"not a multiplier: {str(value)[:40]!a}", hint='write it like "1.15"') from None


def _models(value: Any) -> tuple[str, ...]:
    return check_policy(_Policy(models=_texts(value))).models


def _endpoints(value: Any) -> tuple[str, ...]:
    return check_policy(_Policy(endpoints=_texts(value))).endpoints


def _addresses(value: Any) -> tuple[str, ...]:
    return check_policy(_Policy(addresses=_texts(value))).addresses


def _rotate_every(value: Any) -> int | None:
    if _text(value) == NEVER:
        return None
    seconds = int(parse_duration(value).total_seconds())
    return check_policy(_Policy(rotate_every_s=seconds)).rotate_every_s


def _attribute(value: Any) -> str:
    word = _word(value, (NONE, *filter(None, ATTRIBUTIONS)))
    return "" if word == NONE else word


def _bound(value: Any) -> int | None:
    if value == NONE:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"expected an amount, got {_kind(value)}")
    return check_policy(_Policy(bound_pico=parse_usd(str(value)))).bound_pico


def _project(value: Any) -> str:
    return "/".join(split_project(_text(value)))


def _expires(value: Any) -> datetime | None:
    """A moment, never a span: a file says the same thing today and tomorrow."""
    if value == NEVER:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(_text(value))
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"not a date: {str(value)[:40]!a}", hint="write it like 2027-01-01 or 2027-01-01T12:00Z, or never"
        ) from None
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return "nothing" if value is None else kinds.get(type(value), "a date")
