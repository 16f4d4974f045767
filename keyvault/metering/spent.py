"""What was spent of budgets in their present periods, read from totals: charges, and what is in doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keyvault.domain.budgets import Budget
from keyvault.domain.scopes import ScopeKind
from keyvault.metering import spans
from keyvault.storage import budgets as rules
from keyvault.storage import reports as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import KeyOwner

_IDS = ("key_id", "alias_id", "project_id")
_COUNTS = ("charge_pico", "doubt_pico")


@dataclass(frozen=True, slots=True)
class _Part:
    """What one key spent on one alias, for one payer."""

    key_id: int
    project_id: int
    customer_id: int
    env: str
    alias: str
    pico: int


def spent_of_all(tx: Transaction, now_ms: int) -> Mapping[int, int]:
    """Of every budget."""
    return spent_in(tx, rules.every(tx), now_ms)


def spent_in(tx: Transaction, budgets: Sequence[Budget], now_ms: int) -> Mapping[int, int]:
    """Pico-dollars by budget id. Attempts count in the quarter of an hour in which they began."""
    if not budgets:
        return {}
    owners, projects, aliases = rows.key_owners(tx), rows.project_owners(tx), rows.names(tx).aliases
    found: dict[int, int] = {}
    by_start: dict[int, list[Budget]] = {}
    for budget in budgets:
        by_start.setdefault(budget.period.window(now_ms, budget.zone)[0], []).append(budget)
    for start, group in by_start.items():
        parts = _parts(tx, start, now_ms, owners, projects, aliases)
        for budget in group:
            found[budget.id] = sum(part.pico for part in parts if _counts(budget, part))
    return found


def _parts(
    tx: Transaction,
    start_ms: int,
    now_ms: int,
    owners: Mapping[int, KeyOwner],
    projects: Mapping[int, int],
    aliases: Mapping[int, str],
) -> list[_Part]:
    parts = []
    for span in spans.spans(start_ms // spans.QUARTER_MS * spans.QUARTER_MS, spans.snap_to_day(now_ms + 1)):
        for each in rows.sums(tx, span.level, span.first, span.last, _IDS, counts=_COUNTS):
            key_id, alias_id, payer = each.ids
            owner = owners.get(key_id)
            if owner is not None:
                project = payer or owner.project_id
                customer = projects.get(project, 0)
                alias = aliases.get(alias_id, "")
                parts.append(_Part(key_id, project, customer, owner.env, alias, sum(each.values)))
    return parts


def _counts(budget: Budget, part: _Part) -> bool:
    ids = {ScopeKind.KEY: part.key_id, ScopeKind.PROJECT: part.project_id, ScopeKind.CUSTOMER: part.customer_id}
    if budget.env != part.env or ids[budget.scope.kind] != budget.scope.id:
        return False
    return budget.covers(part.alias)
