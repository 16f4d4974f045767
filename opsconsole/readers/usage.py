"""Answers the Usage view's question from ledger totals; budgets, which change slowly, are looked at now and then."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from opsconsole.readers.around import Surroundings
from opsconsole.view.keys.snapshot import Cap
from opsconsole.view.usage.snapshot import CapSince, UsageQuestion, UsageSnapshot

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.metering.pivots import Pivots

BUDGETS_AGE: Final = timedelta(seconds=30)


class UsageReader:
    """`zone`: whose days and months, by name."""

    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._pivots: Pivots | None = None
        self._caps: tuple[datetime, tuple[CapSince, ...]] | None = None

    def read(self, question: UsageQuestion) -> UsageSnapshot:
        pivots = self._pivots = self._pivots or self._home.reports.pivots(self._zone)
        now = self._home.clock.now()
        pivot = pivots.read(question.asked)
        self._around.ever_used = self._around.ever_used or pivot.total.attempts > 0
        around = self._around.read(now, self._home.workers.live())
        return UsageSnapshot(question=question, taken_at=now, pivot=pivot, caps=self._budgets(now), **around)

    def _budgets(self, now: datetime) -> tuple[CapSince, ...]:
        if self._caps is None or now - self._caps[0] >= BUDGETS_AGE:
            found = self._home.budgets.list()
            caps = (
                CapSince(Cap(each.budget, each.spent_pico, each.held_pico, each.until_at), each.from_at)
                for each in found
            )
            self._caps = (now, tuple(caps))
        return self._caps[1]
