"""What one key has used in its present day and month (UTC), by one look at the totals per day."""

from __future__ import annotations

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


def used(tx: Transaction, key_id: int, now_ms: int, project_id: int | None = None) -> tuple[Used, Used]:
    """`project_id`: only what that project paid, 0 for the key's own."""
    where = {"key_id": [key_id]} | ({} if project_id is None else {"project_id": [project_id]})
    start, until = Period.MONTH.window(now_ms, "UTC")
    today = now_ms // DAY_MS
    days = rows.sums(tx, Level.DAY, start // DAY_MS, today + 1, slices=Slices(1), where=where)
    month, day = ([each.values for each in days if first <= (each.slice or 0)] for first in (0, today))
    width = len(COUNTS)
    return (
        Used(Period.DAY, today * DAY_MS, (today + 1) * DAY_MS, totals(summed(day, width))),
        Used(Period.MONTH, start, until, totals(summed(month, width))),
    )
