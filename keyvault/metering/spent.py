"""What was spent of budgets in their present periods, read from totals: charges, and what is in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind
from keyvault.metering import spans
from keyvault.storage import budgets as rules
from keyvault.storage import reports as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import KeyOwner

_IDS = ("key_id", "alias_id", "project_id")
_COUNTS = ("charge_pico", "doubt_pico")
_FEW: Final = 100
"""Up to so many keys, asking for theirs alone is faster than asking for all."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one key spent on one alias, for one payer."""

    key_id: int
    project_id: int
    customer_id: int
    env: str
    alias: str
    charge_pico: int
    doubt_pico: int

    @property
    def scopes(self) -> Iterator[tuple[ScopeKind, int, str]]:
        """Whose budgets it counts in."""
        yield ScopeKind.KEY, self.key_id, self.env
        yield ScopeKind.PROJECT, self.project_id, self.env
        yield ScopeKind.CUSTOMER, self.customer_id, self.env


class Spent(NamedTuple):
    """Of a budget in one of its periods."""

    charge_pico: int = 0
    doubt_pico: int = 0
    """What nobody is charged for and providers may have taken all the same."""

    @property
    def pico(self) -> int:
        return self.charge_pico + self.doubt_pico


NOTHING: Final = Spent()


def spent_of_all(tx: Transaction, now_ms: int) -> Mapping[int, Spent]:
    """Of every budget."""
    return spent_in(tx, rules.every(tx), now_ms)


def spent_in(tx: Transaction, budgets: Sequence[Budget], now_ms: int) -> Mapping[int, Spent]:
    """By budget id. Attempts count in the quarter of an hour in which they began."""
    if not budgets:
        return {}
    names = _Names(rows.key_owners(tx), rows.project_owners(tx), rows.names(tx).aliases)
    found = dict.fromkeys((budget.id for budget in budgets), NOTHING)
    by_stretch: dict[tuple[int, int], list[Budget]] = {}
    for budget in budgets:
        by_stretch.setdefault(_stretch(budget, now_ms), []).append(budget)
    for stretch, group in by_stretch.items():
        for part, counting in _counted(_parts(tx, stretch, names, _only(group)), group):
            for budget in counting:
                sums = found[budget.id]
                found[budget.id] = Spent(sums.charge_pico + part.charge_pico, sums.doubt_pico + part.doubt_pico)
    return found


def _stretch(budget: Budget, now_ms: int) -> tuple[int, int]:
    """From when until when is read. Longer periods are read up to the end of this UTC day, which is one total: there is
    nothing yet in what is left of it, unless the clock was ahead."""
    start, end = budget.period.window(now_ms, budget.zone)
    if budget.period is Period.HOUR and end is not None:
        return start, end
    return start, spans.snap_to_day(now_ms + 1)


class _Names(NamedTuple):
    """What ids of totals stand for."""

    owners: Mapping[int, KeyOwner]
    customers: Mapping[int, int]
    """By project."""
    aliases: Mapping[int, str]


def _counted(parts: Iterable[_Part], group: Iterable[Budget]) -> Iterator[tuple[_Part, list[Budget]]]:
    """Each part with the budgets it counts in."""
    by_scope: dict[tuple[ScopeKind, int, str], list[Budget]] = {}
    for budget in group:
        by_scope.setdefault((budget.scope.kind, budget.scope.id, budget.env), []).append(budget)
    for part in parts:
        yield part, [b for scope in part.scopes for b in by_scope.get(scope, ()) if b.covers(part.alias)]


def _only(group: Iterable[Budget]) -> rows.Where | None:
    """The keys whose totals are enough, where all budgets are of keys; customers and projects pay for any key."""
    scopes = [budget.scope for budget in group]
    few = len(scopes) <= _FEW and all(scope.kind is ScopeKind.KEY for scope in scopes)
    return {"key_id": {scope.id for scope in scopes}} if few else None


def _parts(tx: Transaction, stretch: tuple[int, int], names: _Names, only: rows.Where | None) -> Iterator[_Part]:
    for span in spans.spans(stretch[0] // spans.QUARTER_MS * spans.QUARTER_MS, stretch[1]):
        for each in rows.sums(tx, span.level, span.first, span.last, _IDS, counts=_COUNTS, where=only):
            key_id, alias_id, payer = each.ids
            owner = names.owners.get(key_id)
            if owner is not None:
                project = payer or owner.project_id
                customer, alias = names.customers.get(project, 0), names.aliases.get(alias_id, "")
                yield _Part(key_id, project, customer, owner.env, alias, *each.values)
