"""What one does to customers and projects: make them, change them, suspend and resume all their keys at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from keyvault.domain import typed as parsers
from keyvault.domain.keys import PPM, multiplier_ppm
from keyvault.domain.names import check_name, check_tags, fold, split_project
from keyvault.domain.scopes import ScopeKind
from keyvault.errors import UsageError
from keyvault.money import format_usd
from opsconsole.tui.deeds import forms
from opsconsole.tui.deeds.deed import Deed, Done, Field, Severity, Typed, Values, checked
from opsconsole.tui.deeds.effect import CUT, taken
from opsconsole.tui.deeds.forms import says, warns
from opsconsole.view.keys.snapshot import GroupRow
from opsconsole.view.text import Line, Tone

if TYPE_CHECKING:
    from keyvault.home import Home

_FACTOR: Final = "charged, cost ×"


def tags(text: str) -> dict[str, str]:
    """`team=web, cost=42` → their values by name. Raises `UsageError`."""
    pairs = [part.partition("=") for part in parsers.parts(text)]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise UsageError(f"not a tag: {name[:40]!a}", hint="write it as name=value")
    return check_tags({name: value for name, _, value in pairs})


def new_customer(known: Iterable[str]) -> Deed:
    names = {fold(name) for name in known}

    def free(text: str) -> None:
        check_name("customer", text)
        if fold(text) in names:
            raise UsageError("there is such a customer already")

    def run(home: Home, typed: Typed) -> Done:
        factor = parsers.number(typed["multiplier"])
        customer = home.customers.create(typed["name"], multiplier=factor, tags=tags(typed["tags"]))
        return Done(f"created customer {customer.name}")

    fields = (
        Field("name", "name", check=checked(free), required=True, example="such as acme"),
        _multiplier("1"),
        _tags({}),
    )
    return Deed("New customer", "Create", run, fields, _charged_nothing)


def new_project(known: Iterable[str], customers: Sequence[str], customer: str = "") -> Deed:
    paths = {fold(path) for path in known}

    def free(text: str) -> None:
        split_project(text)
        if fold(text) in paths:
            raise UsageError("there is such a project already")
        if fold(text.partition("/")[0]) not in map(fold, customers):
            raise UsageError("there is no such customer", hint="g c, then n")

    def run(home: Home, typed: Typed) -> Done:
        project = home.customers.create_project(typed["path"], tags=tags(typed["tags"]))
        return Done(f"created project {project.path}")

    initial = f"{customer}/" if customer else ""
    suggested = tuple(f"{name}/" for name in customers)
    path = Field(
        "path", "customer/project", initial, checked(free), suggested, True, required=True, example="such as acme/web"
    )
    return Deed("New project", "Create", run, (path, _tags({})))


def edit(row: GroupRow) -> Deed:
    """A customer's multiplier and tags, a project's tags."""
    is_customer = row.of is ScopeKind.CUSTOMER
    factor = format_usd((row.multiplier_ppm or 0) * PPM)
    fields = (*([_multiplier(factor)] if is_customer else []), _tags(row.tags))

    def run(home: Home, typed: Typed) -> Done:
        other = None if typed["tags"] == fields[-1].initial else tags(typed["tags"])
        if not is_customer:
            path = home.customers.update_project(row.name, tags=other).path
            return Done(f"updated project {path}{taken(home)}")
        multiplier = None if typed["multiplier"] == factor else parsers.number(typed["multiplier"])
        customer = home.customers.update(row.name, multiplier=multiplier, tags=other)
        return Done(f"updated customer {customer.name}{taken(home)}")

    def tells(values: Values) -> Sequence[Line]:
        return [*forms.changes(values, fields), *_charged_nothing(values)]

    return Deed(f"Edit {row.scope}", "Save", run, fields, tells)


def suspend(row: GroupRow) -> Deed:
    def run(home: Home, typed: Typed) -> Done:
        if row.of is ScopeKind.CUSTOMER:
            home.customers.update(row.name, suspended=True)
        else:
            home.customers.update_project(row.name, suspended=True)
        return Done(f"suspended {row.scope}{taken(home, _members(home, row), cut=typed['cut'] == 'yes')}")

    keys = f"{row.usable:,} key{'' if row.usable == 1 else 's'}"
    told = [says(f"Every request of its {keys} is refused until it is resumed.", tone=Tone.PLAIN)]
    cut = Field("cut", "end requests under way", CUT[0], choices=CUT, required=True)
    return Deed(f"Suspend {row.scope}", "Suspend", run, (cut,), lambda _values: told, Severity.MODERATE)


def resume(row: GroupRow) -> Deed:
    def run(home: Home, _typed: Typed) -> Done:
        if row.of is ScopeKind.CUSTOMER:
            home.customers.update(row.name, suspended=False)
        else:
            home.customers.update_project(row.name, suspended=False)
        return Done(f"resumed {row.scope}{taken(home)}")

    told = [says("Its keys are admitted again, but for those that are suspended themselves.")]
    return Deed(f"Resume {row.scope}", "Resume", run, tells=lambda _values: told)


def _members(home: Home, row: GroupRow) -> list[int]:
    if row.of is ScopeKind.CUSTOMER:
        return [key.id for key in home.keys.list(customer=row.name)]
    return [key.id for key in home.keys.list(project=row.name)]


def _multiplier(initial: str) -> Field:
    check = checked(lambda text: multiplier_ppm(parsers.number(text)))
    return Field("multiplier", _FACTOR, initial, check, required=True, example="1, or such as 1.15")


def _tags(now: Mapping[str, str]) -> Field:
    initial = ", ".join(f"{name}={value}" for name, value in now.items())
    return Field("tags", "tags", initial, checked(tags), example="none; such as team=web, cost=42")


def _charged_nothing(values: Values) -> Sequence[Line]:
    text = values.get("multiplier", "")
    if checked(parsers.number)(text) is None and parsers.number(text) == 0:
        return [warns("it is charged nothing: its budgets and balances will never be used up")]
    return []
