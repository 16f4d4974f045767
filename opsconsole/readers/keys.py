"""Answers the Keys view's question: keys, projects or customers, each with what it used and what caps it.

With ten thousand keys most are as they were a second ago: a row is made anew only where something of it is another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from keyvault.domain.keys import Customer, GenerationState, Key, KeyState, Project
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.keys.defaults import Defaults, defaults
from keyvault.keys.watching import KeyWatch
from keyvault.metering.tallies import Tallies, Tally, Used
from opsconsole.readers.around import Surroundings
from opsconsole.readers.first import FirstRequests
from opsconsole.view.keys.snapshot import (
    NOTHING,
    Cap,
    GroupRow,
    KeyRow,
    KeysBy,
    KeysQuestion,
    KeysSnapshot,
    Money,
    Row,
    Usage,
)
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home

_NONE: Final = Used()
_USABLE: Final = (GenerationState.PENDING, GenerationState.GRACE)
Place = tuple[ScopeKind, int]
"""A scope by the number of what it names."""


class KeysReader:
    """`zone`: whose midnight begins a day and a month, by name."""

    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._stock: _Stock | None = None
        self._made: dict[int, tuple[tuple[Any, ...], KeyRow]] = {}
        """Key id → what its row was made of, and the row."""
        self._rows: dict[int, KeyRow] = {}
        self._made_of: tuple[object, ...] = ()
        self._turns_at: datetime | None = None
        """When a state changes by itself next."""

    @cached_property
    def _watch(self) -> KeyWatch:
        return KeyWatch(self._home.database)

    @cached_property
    def _tallies(self) -> Tallies:
        return Tallies(self._home.database, self._home.clock, ZoneInfo(self._zone))

    @cached_property
    def _first(self) -> FirstRequests:
        return FirstRequests(self._home.reports)

    def read(self, question: KeysQuestion) -> KeysSnapshot:
        home, now = self._home, self._home.clock.now()
        workers = home.workers.live()
        keys, tally = self._watch.read(), self._tallies.read()
        stock = self._stocked(tally)
        rows = self._key_rows(keys, tally, stock, now)
        return KeysSnapshot(
            question=question,
            taken_at=now,
            rows=tuple(_asked(question, rows, keys, stock, tally, now)),
            usual=stock.usual,
            names=stock.names_of(keys),
            projects=tuple(project.path for project in stock.projects.values()),
            customers=tuple(customer.name for customer in stock.customers.values()),
            models=stock.models,
            first=self._first.of(question.awaited),
            **self._around.read(now, workers),
        )

    def _stocked(self, tally: Tally) -> _Stock:
        """Everything that only a change of the settings of keys or money changes."""
        home = self._home
        marks = tuple(home.workers.epochs().values())
        if self._stock is None or self._stock.marks != marks:
            usual = self._stock.usual if self._stock else defaults(home.settings)
            self._stock = _Stock.read(home, marks, usual)
            self._stock.balances_of(home, tally)
        elif self._stock.tally is not tally:
            self._stock.balances_of(home, tally)
        return self._stock

    def _key_rows(self, keys: Mapping[int, Key], tally: Tally, stock: _Stock, now: datetime) -> dict[int, KeyRow]:
        """The rows of all keys: those of before, as long as nothing has changed and no time has come."""
        made_of = (keys, tally, stock.money)
        same = len(self._made_of) == 3 and all(one is other for one, other in zip(made_of, self._made_of, strict=True))
        if not same or (self._turns_at is not None and now >= self._turns_at):
            self._rows = self._made_rows(keys, tally, stock, now)
            self._made_of, self._turns_at = made_of, _next_turn(keys.values(), now)
        return self._rows

    def _made_rows(self, keys: Mapping[int, Key], tally: Tally, stock: _Stock, now: datetime) -> dict[int, KeyRow]:
        used, caps = _used_by_key(tally), _caps(tally)
        made: dict[int, tuple[tuple[Any, ...], KeyRow]] = {}
        for key_id, key in keys.items():
            above = stock.above(key)
            of = (
                key,
                key.state_at(now),
                _rotating(key, now),
                used.get(key_id, NOTHING),
                tuple(cap for place in above for cap in caps.get(place, ()) if cap.budget.env == key.env),
                stock.limits_of(above),
                stock.money_of(above, key.env),
            )
            kept = self._made.get(key_id)
            made[key_id] = kept if kept is not None and kept[0] == of else (of, _key_row(*of))
        self._made = made
        return {key_id: row for key_id, (_, row) in made.items()}


def _next_turn(keys: Iterable[Key], now: datetime) -> datetime | None:
    """When the next key or old secret ends by itself, of those that have not."""
    ends = [key.expires_at for key in keys if key.expires_at is not None]
    ends += [each.valid_until for key in keys for each in key.generations if each.valid_until is not None]
    return min((end for end in ends if end > now), default=None)


def _rotating(key: Key, now: datetime) -> bool:
    return any(each.state_at(now) in _USABLE for each in key.generations) and key.state is KeyState.ACTIVE


def _key_row(
    key: Key,
    state: KeyState,
    rotating: bool,
    used: Usage,
    caps: tuple[Cap, ...],
    limits: tuple[Limit, ...],
    balances: tuple[Money, ...],
) -> KeyRow:
    return KeyRow(key.name, used, caps, limits, balances, key, state, rotating)


@dataclass(slots=True)
class _Stock:
    """Projects, customers, limits, balances and models, as they are until somebody changes them."""

    marks: tuple[int, ...]
    usual: Defaults
    projects: Mapping[int, Project]
    customers: Mapping[int, Customer]
    limits: Mapping[Place, tuple[Limit, ...]]
    models: tuple[str, ...]
    money: Mapping[tuple[ScopeKind, int, str], Money]
    tally: Tally | None = None
    _names: tuple[Mapping[int, Key] | None, tuple[str, ...]] = (None, ())

    @classmethod
    def read(cls, home: Home, marks: tuple[int, ...], usual: Defaults) -> _Stock:
        return cls(
            marks=marks,
            usual=usual,
            projects={project.id: project for project in home.customers.list_projects()},
            customers={customer.id: customer for customer in home.customers.list()},
            limits=_grouped((limit.scope, limit) for limit in home.limits.list()),
            models=tuple(printable(route.alias) for route in home.routes.current().routes),
            money={},
        )

    def balances_of(self, home: Home, tally: Tally) -> None:
        """Read balances, which change with the ledger."""
        self.tally = tally
        self.money = {
            (each.balance.scope.kind, each.balance.scope.id, each.balance.env): Money(each.balance, each.held_pico)
            for each in home.balances.list()
        }

    def above(self, key: Key) -> tuple[Place, Place, Place]:
        """The scopes that a key is in, its own first."""
        project = self.projects.get(key.project_id)
        return (
            (ScopeKind.KEY, key.id),
            (ScopeKind.PROJECT, key.project_id),
            (ScopeKind.CUSTOMER, project.customer_id if project else 0),
        )

    def limits_of(self, places: Iterable[Place]) -> tuple[Limit, ...]:
        return tuple(limit for place in places for limit in self.limits.get(place, ()))

    def money_of(self, places: Iterable[Place], env: str) -> tuple[Money, ...]:
        found = (self.money.get((*place, env)) for place in places)
        return tuple(money for money in found if money is not None)

    def names_of(self, keys: Mapping[int, Key]) -> tuple[str, ...]:
        if self._names[0] is not keys:
            self._names = (keys, tuple(key.name for key in keys.values()))
        return self._names[1]


def _grouped(limits: Iterable[tuple[ScopeRef, Limit]]) -> Mapping[Place, tuple[Limit, ...]]:
    found: dict[Place, tuple[Limit, ...]] = {}
    for scope, limit in limits:
        place = (scope.kind, scope.id)
        found[place] = (*found.get(place, ()), limit)
    return found


def _caps(tally: Tally) -> Mapping[Place, tuple[Cap, ...]]:
    found: dict[Place, tuple[Cap, ...]] = {}
    for each in tally.budgets:
        place = (each.budget.scope.kind, each.budget.scope.id)
        cap = Cap(each.budget, each.spent_pico, each.held_pico, each.until_at)
        found[place] = (*found.get(place, ()), cap)
    return found


# What was used


def _used_by_key(tally: Tally) -> Mapping[int, Usage]:
    """Whoever paid for it."""
    month, today = defaultdict[int, Used](Used), defaultdict[int, Used](Used)
    for pair, used in tally.month.items():
        month[pair.key_id] = _sum(month.get(pair.key_id), used)
    for pair, used in tally.today.items():
        today[pair.key_id] = _sum(today.get(pair.key_id), used)
    ids = month.keys() | tally.hours.keys()
    return {i: _usage(today.get(i, _NONE), month.get(i, _NONE), tuple(tally.hours.get(i, ()))) for i in ids}


def _usage(today: Used, month: Used, hours: Sequence[int]) -> Usage:
    return Usage(
        today.requests, today.errors, today.spent_pico, month.spent_pico, unpriced=month.unknown_cost > 0, hours=hours
    )


def _sum(one: Used | None, other: Used) -> Used:
    return other if one is None else Used(*(a + b for a, b in zip(one, other, strict=True)))


# What was asked


def _asked(
    question: KeysQuestion,
    rows: Mapping[int, KeyRow],
    keys: Mapping[int, Key],
    stock: _Stock,
    tally: Tally,
    now: datetime,
) -> Iterator[Row]:
    match question.by:
        case KeysBy.KEY:
            yield from (row for row in rows.values() if row.state is not KeyState.DELETED and _is_in(row, question))
        case KeysBy.DELETED:
            yield from (row for row in rows.values() if _is_restorable(row.key, now))
        case KeysBy.PROJECT | KeysBy.CUSTOMER:
            yield from _groups(question, rows, stock, tally)


def _is_restorable(key: Key, now: datetime) -> bool:
    return key.restorable_until is not None and key.restorable_until > now


def _is_in(row: KeyRow, question: KeysQuestion) -> bool:
    return question.within in ("", row.key.customer, row.project)


def _groups(question: KeysQuestion, rows: Mapping[int, KeyRow], stock: _Stock, tally: Tally) -> Iterator[GroupRow]:
    by_customer = question.by is KeysBy.CUSTOMER
    members = defaultdict[int, list[KeyRow]](list)
    for row in rows.values():
        if row.state is not KeyState.DELETED:
            members[_owner(row.key.project_id, stock, by_customer)].append(row)
    used, caps = _used_by_payer(tally, stock, by_customer), _caps(tally)
    projects = defaultdict[int, int](int)
    for project in stock.projects.values():
        projects[project.customer_id] += 1
    if by_customer:
        for customer in stock.customers.values():
            place = ((ScopeKind.CUSTOMER, customer.id),)
            yield _group(
                customer.name, place, members[customer.id], used, caps, stock,
                suspended=customer.suspended, multiplier_ppm=customer.multiplier_ppm, projects=projects[customer.id],
                tags=customer.tags,
            )  # fmt: skip
        return
    for project in stock.projects.values():
        if question.within in ("", project.customer):
            above = ((ScopeKind.PROJECT, project.id), (ScopeKind.CUSTOMER, project.customer_id))
            yield _group(
                project.path, above, members[project.id], used, caps, stock,
                suspended=project.suspended,
                refused_with="customer" if stock.customers[project.customer_id].suspended else "", tags=project.tags,
            )  # fmt: skip


def _group(
    name: str,
    above: tuple[Place, ...],
    members: Sequence[KeyRow],
    used: Mapping[int, Usage],
    caps: Mapping[Place, tuple[Cap, ...]],
    stock: _Stock,
    *,
    suspended: bool,
    refused_with: str = "",
    multiplier_ppm: int | None = None,
    projects: int = 0,
    tags: Mapping[str, str],
) -> GroupRow:
    kind, number = above[0]
    return GroupRow(
        name=name,
        used=replace(used.get(number, NOTHING), hours=_hours(members)),
        caps=tuple(cap for place in above for cap in caps.get(place, ())),
        limits=stock.limits_of(above),
        balances=(*stock.money_of(above, "live"), *stock.money_of(above, "test")),
        of=kind,
        keys=len(members),
        usable=sum(row.state is KeyState.ACTIVE and row.key.suspended_by is None for row in members),
        suspended=suspended,
        refused_with=refused_with,
        multiplier_ppm=multiplier_ppm,
        last_used_at=max((at for row in members if (at := row.last_used_at) is not None), default=None),
        projects=projects,
        tags=tags,
    )


def _hours(members: Iterable[KeyRow]) -> tuple[int, ...]:
    """Of all these keys together, whoever paid for their requests."""
    return tuple(map(sum, zip(*(row.used.hours for row in members if row.used.hours), strict=True)))


def _owner(project_id: int, stock: _Stock, by_customer: bool) -> int:
    project = stock.projects.get(project_id)
    return (project.customer_id if project else 0) if by_customer else project_id


def _used_by_payer(tally: Tally, stock: _Stock, by_customer: bool) -> Mapping[int, Usage]:
    today, month = dict[int, Used](), dict[int, Used]()
    for mapping, found in ((tally.today, today), (tally.month, month)):
        for pair, used in mapping.items():
            owner = _owner(pair.project_id, stock, by_customer)
            found[owner] = _sum(found.get(owner), used)
    return {i: _usage(today.get(i, _NONE), month[i], ()) for i in month}
