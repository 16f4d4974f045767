"""The rows of all keys, made anew only where something of one is another than a second ago.

What a row is made of is compared by identity: whoever hands in keys, sums and standings hands in the same objects where
nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from keyvault.domain.keys import GenerationState, Key, KeyState
from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind
from keyvault.metering.budgets import Standing
from keyvault.metering.tallies import Pair, Tally, Used
from opsconsole.view.keys.snapshot import NOTHING, Cap, KeyRow, Money, Usage

Place = tuple[ScopeKind, int]
"""A scope by the number of what it names."""
Purse = tuple[ScopeKind, int, str]
"""Whose balance, and of which environment."""
_NONE: Final = Used()
_OVERLAP: Final = (GenerationState.PENDING, GenerationState.GRACE)


class Above(NamedTuple):
    """What caps keys besides their own rules; another object where any of it may be another."""

    customers: Mapping[int, int]
    """By project."""
    limits: Mapping[Place, tuple[Limit, ...]]


class KeyRows:
    """Belongs to one thread."""

    def __init__(self) -> None:
        self.rows: dict[int, KeyRow] = {}
        self.caps: dict[Place, tuple[Cap, ...]] = {}
        self._keys: Mapping[int, Key] = {}
        self._tally: Tally | None = None
        self._above: Above | None = None
        self._money: Mapping[Purse, Money] = {}
        self._used: dict[int, tuple[Used | None, Used | None, Sequence[int] | None, Usage]] = {}
        self._standings: dict[int, Standing] = {}
        self._turns_at: datetime | None = None
        """When a state changes by itself next."""

    def read(
        self, keys: Mapping[int, Key], tally: Tally, above: Above, money: Mapping[Purse, Money], now: datetime
    ) -> dict[int, KeyRow]:
        """The rows by key id; the same mapping as before where nothing has changed."""
        turned = self._turns_at is not None and now >= self._turns_at
        others = keys is not self._keys
        stale = self._stale(keys, tally, above, money)
        if turned or above is not self._above:
            stale = set(keys)
        if turned or others:
            self._turns_at = _next_turn(keys.values(), now)
        self._keys, self._tally, self._above, self._money = keys, tally, above, money
        if stale or len(keys) != len(self.rows):
            kept = {key_id: row for key_id, row in self.rows.items() if key_id in keys}
            self.rows = kept | {key_id: self._row(keys[key_id], now) for key_id in stale}
        return self.rows

    def _stale(self, keys: Mapping[int, Key], tally: Tally, above: Above, money: Mapping[Purse, Money]) -> set[int]:
        """The keys whose rows are no longer true."""
        known = self._keys
        stale = set() if keys is known else {i for i, key in keys.items() if known.get(i) is not key}
        places: set[Place] = set()
        if tally is not self._tally:
            stale |= self._renew_used(tally)
            places |= self._renew_caps(tally.budgets)
        if money is not self._money:
            both = money.keys() | self._money.keys()
            places |= {(kind, number) for kind, number, env in both if
                       money.get((kind, number, env)) != self._money.get((kind, number, env))}  # fmt: skip
        stale |= {number for kind, number in places if kind is ScopeKind.KEY and number in keys}
        if any(kind is not ScopeKind.KEY for kind, _ in places):
            stale |= {i for i, key in keys.items() if not places.isdisjoint(_places(key, above))}
        return stale & keys.keys()

    def _renew_used(self, tally: Tally) -> set[int]:
        """Take over what was used; the keys of which it is another."""
        today, month, hours = _by_key(tally.today), _by_key(tally.month), tally.hours
        changed = set[int]()
        for i in month.keys() | hours.keys() | self._used.keys():
            of = today.get(i), month.get(i), hours.get(i)
            known = self._used.get(i)
            if known is None or known[0] != of[0] or known[1] != of[1] or known[2] is not of[2]:
                self._used[i] = (*of, usage(*of))
                changed.add(i)
        return changed

    def _renew_caps(self, budgets: Sequence[Standing]) -> set[Place]:
        """Take over how budgets stand; the scopes of which one is another."""
        before, self._standings = self._standings, {each.budget.id: each for each in budgets}
        changed = {_place(each) for i, each in self._standings.items() if before.get(i) is not each}
        changed |= {_place(each) for i, each in before.items() if i not in self._standings}
        if changed:
            found: dict[Place, tuple[Cap, ...]] = dict.fromkeys(changed, ())
            for each in budgets:
                if (place := _place(each)) in changed:
                    found[place] = (*found[place], Cap(each.budget, each.spent_pico, each.held_pico, each.until_at))
            self.caps = self.caps | found
        return changed

    def _row(self, key: Key, now: datetime) -> KeyRow:
        assert self._above is not None
        above = _places(key, self._above)
        used = self._used.get(key.id)
        return KeyRow(
            name=key.name,
            used=used[3] if used else NOTHING,
            caps=tuple(cap for place in above for cap in self.caps.get(place, ()) if cap.budget.env == key.env),
            limits=tuple(limit for place in above for limit in self._above.limits.get(place, ())),
            balances=purses(above, self._money, key.env),
            key=key,
            state=key.state_at(now),
            rotating=key.state is KeyState.ACTIVE and any(g.state_at(now) in _OVERLAP for g in key.generations),
        )


def purses(places: Iterable[Place], money: Mapping[Purse, Money], env: str) -> tuple[Money, ...]:
    """The balances of some scopes, in their order."""
    found = (money.get((*place, env)) for place in places)
    return tuple(each for each in found if each is not None)


def usage(today: Used | None, month: Used | None, hours: Sequence[int] | None) -> Usage:
    now, whole = today or _NONE, month or _NONE
    return Usage(
        now.requests,
        now.errors,
        now.spent_pico,
        whole.spent_pico,
        unpriced=whole.unknown_cost > 0,
        hours=tuple(hours or ()),
    )


def _by_key(pairs: Mapping[Pair, Used]) -> dict[int, Used]:
    """Whoever paid for it."""
    found: dict[int, Used] = {}
    for (key_id, _), used in pairs.items():
        known = found.get(key_id)
        found[key_id] = used if known is None else plus(known, used)
    return found


def plus(one: Used, other: Used) -> Used:
    return Used(*(a + b for a, b in zip(one, other, strict=True)))


def _place(standing: Standing) -> Place:
    return standing.budget.scope.kind, standing.budget.scope.id


def _places(key: Key, above: Above) -> tuple[Place, Place, Place]:
    """The scopes that a key is in, its own first."""
    customer = above.customers.get(key.project_id, 0)
    return (ScopeKind.KEY, key.id), (ScopeKind.PROJECT, key.project_id), (ScopeKind.CUSTOMER, customer)


def _next_turn(keys: Iterable[Key], now: datetime) -> datetime | None:
    """When the next key or old secret ends by itself, of those that have not."""
    return min((end for key in keys for end in _ends(key) if end > now), default=None)


def _ends(key: Key) -> Iterator[datetime]:
    if key.expires_at is not None:
        yield key.expires_at
    for each in key.generations:
        if each.valid_until is not None:
            yield each.valid_until
