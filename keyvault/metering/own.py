"""What one key has used in its present day and month (UTC), by one look at the totals per day.

Totals do not tell of which answers the charge is unknown: that is read from what they tell of each target and day.
Where some cost is known there was a price, so only attempts that failed have none, and nobody is charged for those;
where none is known, none of the answers could be charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyvault.domain.budgets import Period
from keyvault.domain.reports import Totals
from keyvault.metering.groups import summed, totals
from keyvault.metering.spans import DAY_MS
from keyvault.storage import reports as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import COUNTS, Level, Slices


@dataclass(frozen=True, slots=True)
class Used:
    """Of requests that began in a period."""

    period: Period
    from_ms: int
    until_ms: int | None
    totals: Totals
    unknown_charges: int
    """Answers that somebody is charged for, nobody knows how much."""


def used(tx: Transaction, key_id: int, now_ms: int, project_id: int | None = None) -> tuple[Used, Used]:
    """`project_id`: only what that project paid, 0 for the key's own."""
    where = {"key_id": [key_id]} | ({} if project_id is None else {"project_id": [project_id]})
    start, until = Period.MONTH.window(now_ms, "UTC")
    today = now_ms // DAY_MS
    days = rows.sums(tx, Level.DAY, start // DAY_MS, today + 1, ("target_id",), slices=Slices(1), where=where)
    month, day = ([each.values for each in days if first <= (each.slice or 0)] for first in (0, today))
    return (
        _used(Period.DAY, today * DAY_MS, (today + 1) * DAY_MS, day),
        _used(Period.MONTH, start, until, month),
    )


def _used(period: Period, from_ms: int, until_ms: int | None, parts: Sequence[Sequence[int]]) -> Used:
    unknown = sum(_unknown_charges(totals(part)) for part in parts)
    return Used(period, from_ms, until_ms, totals(summed(parts, len(COUNTS))), unknown)


def _unknown_charges(of: Totals) -> int:
    """Of one target on one day; see above."""
    if of.known_cost_pico:
        return max(0, of.unknown_cost_attempts - of.failures)
    return min(of.unknown_cost_attempts, of.attempts - of.failures)
