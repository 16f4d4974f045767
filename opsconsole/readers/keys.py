"""Answers the Keys view's question: keys, projects or customers, each with what it used and what caps it.

With ten thousand keys most are as they were a second ago: only what an epoch or the ledger says has changed is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from keyvault.domain.keys import Customer, Key, KeyState, Project
from keyvault.domain.limits import Limit
from keyvault.keys.defaults import Defaults, defaults
from keyvault.metering.tallies import Tallies, Tally
from opsconsole.readers.around import Surroundings
from opsconsole.readers.first import FirstRequests
from opsconsole.readers.key_groups import Groups
from opsconsole.readers.key_rows import Above, KeyRows, Place, Purse
from opsconsole.view.keys.snapshot import KeyRow, KeysBy, KeysQuestion, KeysSnapshot, Money, Row
from opsconsole.view.text import printable

if TYPE_CHECKING:
    from keyvault.home import Home


class KeysReader:
    """`zone`: whose midnight begins a day and a month, by name."""

    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._stock: _Stock | None = None
        self._rows = KeyRows()
        self._shown: tuple[KeysBy, str, Mapping[int, KeyRow], tuple[Row, ...]] | None = None

    @cached_property
    def _tallies(self) -> Tallies:
        return Tallies(self._home.database, self._home.clock, ZoneInfo(self._zone))

    @cached_property
    def _first(self) -> FirstRequests:
        return FirstRequests(self._home.reports)

    def read(self, question: KeysQuestion) -> KeysSnapshot:
        home, now = self._home, self._home.clock.now()
        workers = home.workers.live()
        keys, tally = self._around.watch.read(), self._tallies.read()
        stock = self._stocked(keys, tally)
        rows = self._rows.read(keys, tally, stock.above, stock.money, now)
        return KeysSnapshot(
            question=question,
            taken_at=now,
            rows=self._asked(question, rows, stock, tally, now),
            usual=stock.usual,
            names=stock.names,
            projects=tuple(project.path for project in stock.projects.values()),
            customers=tuple(customer.name for customer in stock.customers.values()),
            models=stock.models,
            first=self._first.of(question.awaited),
            **self._around.read(now, workers),
        )

    def _stocked(self, keys: Mapping[int, Key], tally: Tally) -> _Stock:
        """What only a change of keys, routes or money changes, and the balances, which the ledger changes too."""
        home, marks = self._home, tuple(self._home.workers.epochs().values())
        if self._stock is None or self._stock.marks != marks:
            usual = self._stock.usual if self._stock else defaults(home.settings)
            self._stock = _Stock.read(home, marks, usual, keys)
        if self._stock.tally is not tally:
            self._stock.tally, self._stock.money = tally, _money(home)
        return self._stock

    def _asked(
        self, question: KeysQuestion, rows: Mapping[int, KeyRow], stock: _Stock, tally: Tally, now: datetime
    ) -> tuple[Row, ...]:
        """The rows that are asked for; those of before where they are the same."""
        by, within, last = question.by, question.within, self._shown
        if by in (KeysBy.PROJECT, KeysBy.CUSTOMER):
            groups = Groups(rows, tally, stock.above, stock.money, self._rows.caps)
            customers, projects = stock.customers, stock.projects
            return tuple(
                groups.of_customers(customers.values(), projects.values())
                if by is KeysBy.CUSTOMER
                else groups.of_projects([p for p in projects.values() if within in ("", p.customer)], customers)
            )
        if by is KeysBy.KEY and last is not None and last[:2] == (by, within) and last[2] is rows:
            return last[3]
        found = tuple(_restorable(rows, now) if by is KeysBy.DELETED else _within(rows, within))
        self._shown = by, within, rows, found
        return found


@dataclass(slots=True)
class _Stock:
    """Who and what there is, as it is until somebody changes it."""

    marks: tuple[int, ...]
    usual: Defaults
    names: tuple[str, ...]
    projects: Mapping[int, Project]
    customers: Mapping[int, Customer]
    above: Above
    models: tuple[str, ...]
    tally: Tally | None = None
    """The one that `money` was read with."""
    money: Mapping[Purse, Money] = field(default_factory=dict)

    @classmethod
    def read(cls, home: Home, marks: tuple[int, ...], usual: Defaults, keys: Mapping[int, Key]) -> _Stock:
        projects = {project.id: project for project in home.customers.list_projects()}
        return cls(
            marks=marks,
            usual=usual,
            names=tuple(key.name for key in keys.values()),
            projects=projects,
            customers={customer.id: customer for customer in home.customers.list()},
            above=Above({project.id: project.customer_id for project in projects.values()}, _limits(home)),
            models=tuple(printable(route.alias) for route in home.routes.current().routes),
        )


def _limits(home: Home) -> Mapping[Place, tuple[Limit, ...]]:
    found: dict[Place, tuple[Limit, ...]] = {}
    for limit in home.limits.list():
        place = (limit.scope.kind, limit.scope.id)
        found[place] = (*found.get(place, ()), limit)
    return found


def _money(home: Home) -> Mapping[Purse, Money]:
    return {
        (each.balance.scope.kind, each.balance.scope.id, each.balance.env): Money(each.balance, each.held_pico)
        for each in home.balances.list()
    }


def _within(rows: Mapping[int, KeyRow], within: str) -> Iterator[Row]:
    """The keys of a customer or a project, or all, by name."""
    for row in rows.values():
        if row.state is not KeyState.DELETED and (not within or within in (row.key.customer, row.project)):
            yield row


def _restorable(rows: Mapping[int, KeyRow], now: datetime) -> Iterator[Row]:
    for row in rows.values():
        until = row.key.restorable_until
        if until is not None and until > now:
            yield row
