"""What every key and payer used today and this month, and of every budget, for somebody who looks every second.

What is older than two quarters of an hour hardly changes: it is summed once for each quarter of an hour and kept. Each
look adds what the newest quarters say, and none is taken where the ledger has not changed. An attempt that settles more
than a quarter of an hour after it began shows at the next quarter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final, NamedTuple

from keyvault.clock import Clock, from_ms
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind
from keyvault.metering import spans
from keyvault.metering.budgets import Standing, standing
from keyvault.metering.held import held_on
from keyvault.metering.spans import QUARTER_MS
from keyvault.storage import budgets as rules
from keyvault.storage import epochs
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import KeyOwner, Level, Slices

_IDS: Final = ("key_id", "alias_id", "project_id")
_COUNTS: Final = ("requests", "errors", "unknown_cost", "charge_pico", "doubt_pico")
_TAIL: Final = 2
_HOURS: Final = 24
_QUARTERS_PER_HOUR: Final = 4

Ids = tuple[int, ...]
"""Key, alias and payer, the last 0 where the key's own project pays."""
Sums = dict[Ids, list[int]]


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
        self._tail = -1
        self._old: dict[int, Sums] = {}
        """What was used from a moment up to the tail, by that moment."""
        self._shapes: dict[int, list[int]] = {}
        self._seen: tuple[Any, ...] = ()
        self._owners: Mapping[int, KeyOwner] = {}
        self._last: Tally | None = None

    def read(self) -> Tally:
        now_ms = self._clock.now_ms()
        with self._database.read() as tx:
            seen = self._marks(tx, now_ms)
            if self._last is not None and seen == self._seen:
                return self._last
            if seen[1] != (self._seen or seen)[1] or not self._owners:
                self._owners = rows.key_owners(tx)
            self._last = self._look(tx, now_ms)
        self._seen = seen
        return self._last

    def _marks(self, tx: Transaction, now_ms: int) -> tuple[Any, ...]:
        """What says that a look would see the same as the last one."""
        keys, _, _, _, money = epochs.current(tx)
        held = held_on(tx, "budgets", now_ms)
        return rows.change(tx), keys, money, now_ms // QUARTER_MS, held

    def _look(self, tx: Transaction, now_ms: int) -> Tally:
        now_quarter = now_ms // QUARTER_MS
        if self._tail != now_quarter + 1 - _TAIL:
            self._tail, self._old = now_quarter + 1 - _TAIL, {}
            self._shapes = self._old_shapes(tx, now_quarter)
        fresh = rows.sums(
            tx, Level.QUARTER, self._tail, now_quarter + 1, _IDS, slices=Slices(1), counts=_COUNTS
        )  # fmt: skip
        now = from_ms(now_ms)
        day = spans.midnight_ms(now, self._zone)
        month = spans.midnight_ms(now.astimezone(self._zone).replace(day=1), self._zone)
        found = rules.every(tx)
        held = held_on(tx, "budgets", now_ms)
        return Tally(
            at=now,
            today=self._by_pair(tx, day, fresh),
            month=self._by_pair(tx, month, fresh),
            hours=self._hours(fresh, now_quarter),
            budgets=self._standings(tx, found, fresh, now_ms, held),
        )

    # From a moment on

    def _since(self, tx: Transaction, start_ms: int) -> Sums:
        """Sums from a moment up to the tail; read once."""
        if start_ms not in self._old:
            found: Sums = {}
            for span in spans.spans(start_ms, max(start_ms, self._tail * QUARTER_MS)):
                for each in rows.sums(tx, span.level, span.first, span.last, _IDS, counts=_COUNTS):
                    _add(found, each.ids, each.values)
            self._old[start_ms] = found
        return self._old[start_ms]

    def _all_since(self, tx: Transaction, start_ms: int, fresh: Iterable[rows.Sum]) -> Iterator[tuple[Ids, list[int]]]:
        yield from self._since(tx, start_ms).items()
        for each in fresh:
            if each.slice is not None and each.slice * QUARTER_MS >= start_ms:
                yield each.ids, each.values

    def _payer(self, ids: Ids) -> int:
        owner = self._owners.get(ids[0])
        return ids[2] or (owner.project_id if owner else 0)

    def _by_pair(self, tx: Transaction, start_ms: int, fresh: Iterable[rows.Sum]) -> Mapping[Pair, Used]:
        found: dict[Pair, list[int]] = {}
        for ids, values in self._all_since(tx, start_ms, fresh):
            pair = Pair(ids[0], self._payer(ids))
            known = found.get(pair)
            found[pair] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
        return {pair: Used(*values) for pair, values in found.items()}

    # By the hour

    def _old_shapes(self, tx: Transaction, now_quarter: int) -> dict[int, list[int]]:
        first = now_quarter // _QUARTERS_PER_HOUR - _HOURS + 1
        cut = Slices(_QUARTERS_PER_HOUR)
        parts = rows.sums(
            tx, Level.QUARTER, first * _QUARTERS_PER_HOUR, self._tail, ("key_id",), slices=cut, counts=("requests",)
        )
        return _shaped({}, ((each.ids[0], (each.slice or 0) - first, each.values[0]) for each in parts))

    def _hours(self, fresh: Iterable[rows.Sum], now_quarter: int) -> Mapping[int, Sequence[int]]:
        first = now_quarter // _QUARTERS_PER_HOUR - _HOURS + 1
        return _shaped(
            self._shapes,
            (
                (each.ids[0], (each.slice or 0) // _QUARTERS_PER_HOUR - first, each.values[0])
                for each in fresh
                if each.values[0]
            ),
        )

    # Of budgets

    def _standings(
        self,
        tx: Transaction,
        found: Sequence[Budget],
        fresh: Sequence[rows.Sum],
        now_ms: int,
        held: Mapping[int, int] | None,
    ) -> Sequence[Standing]:
        if not found:
            return ()
        customers, aliases = rows.project_owners(tx), rows.aliases_by_id(tx)
        spent = dict.fromkeys((budget.id for budget in found), 0)
        for start, group in _by_start(found, now_ms).items():
            by_scope = _by_scope(group)
            for ids, values in self._all_since(tx, start, fresh):
                payer = self._payer(ids)
                owner = self._owners.get(ids[0])
                env = owner.env if owner else "live"
                for scope in (
                    (ScopeKind.KEY, ids[0], env),
                    (ScopeKind.PROJECT, payer, env),
                    (ScopeKind.CUSTOMER, customers.get(payer, 0), env),
                ):
                    for budget in by_scope.get(scope, ()):
                        if not budget.model or budget.covers(aliases.get(ids[1], "")):
                            spent[budget.id] += values[-1] + values[-2]
        return [standing(budget, spent[budget.id], held, now_ms) for budget in found]


def _by_start(found: Iterable[Budget], now_ms: int) -> dict[int, list[Budget]]:
    """Budgets by when their present period began. Those of one zone and period begin at once."""
    starts: dict[tuple[Period, str], int] = {}
    grouped: dict[int, list[Budget]] = {}
    for budget in found:
        kind = (budget.period, budget.zone)
        if kind not in starts:
            starts[kind] = budget.period.window(now_ms, budget.zone)[0]
        grouped.setdefault(starts[kind], []).append(budget)
    return grouped


def _by_scope(group: Iterable[Budget]) -> dict[tuple[ScopeKind, int, str], list[Budget]]:
    found: dict[tuple[ScopeKind, int, str], list[Budget]] = {}
    for budget in group:
        found.setdefault((budget.scope.kind, budget.scope.id, budget.env), []).append(budget)
    return found


def _add(found: Sums, ids: Ids, values: list[int]) -> None:
    known = found.get(ids)
    found[ids] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]


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
