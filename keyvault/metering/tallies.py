"""What every key and payer used today and this month, and of every budget, for somebody who looks every second.

What is older than two quarters of an hour hardly changes: it is summed once for each quarter of an hour and kept. Each
look adds what came to the newest quarters since the last one; where the ledger has not changed there is nothing to see.
An attempt that settles more than a quarter of an hour after it began shows at the next quarter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import add, sub
from typing import Any, Final, NamedTuple

from keyvault.clock import Clock, from_ms
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind
from keyvault.metering import spans
from keyvault.metering.budgets import Standing, standing_in
from keyvault.metering.held import held_on
from keyvault.metering.spans import QUARTER_MS
from keyvault.storage import budgets as rules
from keyvault.storage import epochs
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import Level, Slices

_IDS: Final = ("key_id", "alias_id", "project_id")
_COUNTS: Final = ("requests", "errors", "unknown_cost", "charge_pico", "doubt_pico")
_CHARGE: Final = _COUNTS.index("charge_pico")
_DOUBT: Final = _COUNTS.index("doubt_pico")
_TAIL: Final = 2
_HOURS: Final = 24
_QUARTERS_PER_HOUR: Final = 4

Ids = tuple[int, ...]
"""Key, alias and payer, the last 0 where the key's own project pays."""
_Scoped = dict[tuple[ScopeKind, int, str], list[Budget]]
"""Budgets by whose they are, and of which environment."""


class Used(NamedTuple):
    """What somebody used."""

    requests: int = 0
    errors: int = 0
    unknown_cost: int = 0
    """Attempts whose cost nobody knows."""
    charge_pico: int = 0
    doubt_pico: int = 0

    @property
    def spent_pico(self) -> int:
        """As budgets count it: charged, and in doubt."""
        return self.charge_pico + self.doubt_pico


class Pair(NamedTuple):
    """A key, and the project that paid."""

    key_id: int
    project_id: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What one look saw. Keys that used nothing are in none of the mappings."""

    at: datetime
    today: Mapping[Pair, Used]
    month: Mapping[Pair, Used]
    hours: Mapping[int, Sequence[int]]
    """Requests of each key in the last 24 hours of the clock, oldest first, the newest one still filling."""
    budgets: Sequence[Standing]


class Tallies:
    """Belongs to one thread. `zone`: whose midnight begins a day and a month."""

    def __init__(self, database: Database, clock: Clock, zone: tzinfo) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone
        self._seen: tuple[Any, ...] = ()
        self._known: _Known | None = None
        self._last: Tally | None = None

    def read(self) -> Tally:
        now_ms = self._clock.now_ms()
        with self._database.read() as tx:
            keys, _, _, _, money = epochs.current(tx)
            held = held_on(tx, "budgets", now_ms)
            known = keys, money, now_ms // QUARTER_MS
            seen = known, rows.change(tx), held
            if self._last is not None and seen == self._seen:
                return self._last
            last, self._known = self._known, None  # a look that fails half-way is not built upon
            if last is None or last.known != known:
                last = _Known(tx, known, now_ms, self._zone)
            self._last = last.look(tx, now_ms, held)
        self._seen, self._known = seen, last
        return self._last


class _Known:
    """What is known so far, and of whom; made anew each quarter of an hour and for each change of keys, budgets and who
    they are of. `known`: what it was made for."""

    def __init__(self, tx: Transaction, known: tuple[int, int, int], now_ms: int, zone: tzinfo) -> None:
        self.known = known
        self._quarter = now_ms // QUARTER_MS
        self._tail = self._quarter + 1 - _TAIL
        self._owners = rows.key_owners(tx)
        self._customers = rows.project_owners(tx)
        self._aliases = rows.aliases_by_id(tx)
        now = from_ms(now_ms)
        self._day = spans.midnight_ms(now, zone)
        self._month = spans.midnight_ms(now.astimezone(zone).replace(day=1), zone)
        self._shapes = _shaped({}, self._hours(tx, self._quarter, self._tail))
        self._budgets = {budget.id: budget for budget in rules.every(tx)}
        self._windows = _windows(self._budgets.values(), now_ms)
        self._by_start = {start: _by_scope(group) for start, group in self._started().items()}
        since = {start: self._since(tx, start) for start in {self._day, self._month, *self._by_start}}
        self._pairs = {start: _merged({}, self._paired(since[start])) for start in (self._day, self._month)}
        self._spent = dict.fromkeys(self._budgets, 0)
        for start, by_scope in self._by_start.items():
            self._count(self._spent, by_scope, since[start])
        self._standings: dict[int, Standing] = {}
        self._counted: dict[tuple[int | None, Ids], list[int]] = {}
        """What the newest quarters said at the last look."""

    def look(self, tx: Transaction, now_ms: int, held: Mapping[int, int] | None) -> Tally:
        """With what the newest quarters say more than at the last look."""
        fresh = list(self._more(tx))
        for start in self._pairs:
            self._pairs[start] = _merged(self._pairs[start], self._paired(_from(fresh, start)))
        for start, by_scope in self._by_start.items():
            self._count(self._spent, by_scope, _from(fresh, start))
        self._shapes = _shaped(self._shapes, self._hours_of(fresh))
        return Tally(
            at=from_ms(now_ms),
            today=self._pairs[self._day],
            month=self._pairs[self._month],
            hours=self._shapes,
            budgets=[self._standing(budget, self._spent[budget.id], held) for budget in self._budgets.values()],
        )

    def _more(self, tx: Transaction) -> Iterator[rows.Sum]:
        """What was added to the newest quarters since the last look."""
        for each in rows.sums(tx, Level.QUARTER, self._tail, self._quarter + 1, _IDS, slices=Slices(1), counts=_COUNTS):
            place = each.slice, each.ids
            known = self._counted.get(place)
            if known != each.values:
                self._counted[place] = each.values
                yield each if known is None else each._replace(values=list(map(sub, each.values, known)))

    def _since(self, tx: Transaction, start_ms: int) -> list[tuple[Ids, list[int]]]:
        """Sums from a moment up to the tail."""
        return [
            (each.ids, each.values)
            for span in spans.spans(start_ms, max(start_ms, self._tail * QUARTER_MS))
            for each in rows.sums(tx, span.level, span.first, span.last, _IDS, counts=_COUNTS)
        ]

    def _payer(self, ids: Ids) -> int:
        owner = self._owners.get(ids[0])
        return ids[2] or (owner.project_id if owner else 0)

    def _paired(self, parts: Iterable[tuple[Ids, list[int]]]) -> dict[Pair, list[int]]:
        """The sums of each key and payer."""
        found: dict[Pair, list[int]] = {}
        for ids, values in parts:
            pair = Pair(ids[0], self._payer(ids))
            known = found.get(pair)
            found[pair] = values if known is None else list(map(add, known, values))
        return found

    # By the hour

    def _hours(self, tx: Transaction, quarter: int, last: int) -> Iterator[tuple[int, int, int]]:
        first = quarter // _QUARTERS_PER_HOUR - _HOURS + 1
        begin, cut = first * _QUARTERS_PER_HOUR, Slices(_QUARTERS_PER_HOUR)
        for each in rows.sums(tx, Level.QUARTER, begin, last, ("key_id",), slices=cut, counts=("requests",)):
            yield each.ids[0], (each.slice or 0) - first, each.values[0]

    def _hours_of(self, fresh: Iterable[rows.Sum]) -> Iterator[tuple[int, int, int]]:
        first = self._quarter // _QUARTERS_PER_HOUR - _HOURS + 1
        for each in fresh:
            if each.values[0]:
                yield each.ids[0], (each.slice or 0) // _QUARTERS_PER_HOUR - first, each.values[0]

    # Of budgets

    def _started(self) -> dict[int, list[Budget]]:
        """Budgets by when their present period began."""
        grouped: dict[int, list[Budget]] = {}
        for budget in self._budgets.values():
            grouped.setdefault(self._windows[budget.period, budget.zone][0], []).append(budget)
        return grouped

    def _count(self, spent: dict[int, int], by_scope: _Scoped, parts: Iterable[tuple[Ids, list[int]]]) -> None:
        """Add what was spent to every budget that it counts in."""
        for ids, values in parts:
            owner, payer = self._owners.get(ids[0]), self._payer(ids)
            env = owner.env if owner else "live"
            for place in (
                (ScopeKind.KEY, ids[0], env),
                (ScopeKind.PROJECT, payer, env),
                (ScopeKind.CUSTOMER, self._customers.get(payer, 0), env),
            ):
                for budget in by_scope.get(place, ()):
                    if not budget.model or budget.covers(self._aliases.get(ids[1], "")):
                        spent[budget.id] += values[_CHARGE] + values[_DOUBT]

    def _standing(self, budget: Budget, spent_pico: int, held: Mapping[int, int] | None) -> Standing:
        """The one of before, where it stands as it did."""
        held_pico = None if held is None else held.get(budget.id, 0)
        known = self._standings.get(budget.id)
        if known is None or (known.spent_pico, known.held_pico) != (spent_pico, held_pico):
            window = self._windows[budget.period, budget.zone]
            known = self._standings[budget.id] = standing_in(window, budget, spent_pico, held)
        return known


def _merged(known: Mapping[Pair, Used], more: Mapping[Pair, list[int]]) -> Mapping[Pair, Used]:
    """What was known, and more of it; of whom there is no more, the same values as before."""
    found = dict(known)
    for pair, values in more.items():
        had = known.get(pair)
        found[pair] = Used(*(values if had is None else map(add, had, values)))
    return found


def _from(fresh: Iterable[rows.Sum], start_ms: int) -> Iterator[tuple[Ids, list[int]]]:
    for each in fresh:
        if each.slice is not None and each.slice * QUARTER_MS >= start_ms:
            yield each.ids, each.values


def _windows(found: Iterable[Budget], now_ms: int) -> dict[tuple[Period, str], tuple[int, int | None]]:
    """When the present period of budgets began and ends. Those of one period and zone have the same."""
    return {(period, zone): period.window(now_ms, zone) for period, zone in {(one.period, one.zone) for one in found}}


def _by_scope(group: Iterable[Budget]) -> _Scoped:
    found: _Scoped = {}
    for budget in group:
        found.setdefault((budget.scope.kind, budget.scope.id, budget.env), []).append(budget)
    return found


def _shaped(before: Mapping[int, list[int]], parts: Iterable[tuple[int, int, int]]) -> dict[int, list[int]]:
    """Requests by key and hour: what was known, and more of it. No list that was known is changed."""
    found, own = dict(before), set[int]()
    for key_id, hour, requests in parts:
        if not 0 <= hour < _HOURS:
            continue
        if key_id not in own:
            found[key_id] = list(found.get(key_id, [0] * _HOURS))
            own.add(key_id)
        found[key_id][hour] += requests
    return found
