"""Budgets: a cap on charges per period, for a scope and, where asked, for some models only.

A period begins at midnight, on Monday, on the first, in the budget's own time zone; `hour` is the clock's hour and
`total` everything the scope has ever spent. A request belongs to the period in which it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from keyvault.clock import from_ms, to_ms
from keyvault.domain.scopes import ScopeRef, matches_alias
from keyvault.errors import UsageError
from keyvault.money import PICO_PER_USD, parse_usd

DEFAULT_THRESHOLDS: Final = (80, 100)
MAX_AMOUNT_USD: Final = 4_000_000
"""Twice as much fits 64 bits of pico-dollars."""

_QUARTER_MS: Final = 900_000


class Period(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"

    def window(self, at_ms: int, zone: str) -> tuple[int, int | None]:
        """The period that a moment lies in: its first millisecond and the first one after it, None where none is."""
        if self is Period.TOTAL:
            return 0, None
        local = from_ms(at_ms).astimezone(ZoneInfo(zone))
        if self is Period.HOUR:
            return _hour(at_ms, local)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self is Period.WEEK:
            day = _midnight(day - timedelta(days=day.weekday()))
        if self is Period.MONTH:
            first = _midnight(day.replace(day=1))
            return to_ms(first), to_ms(_midnight((first + timedelta(days=32)).replace(day=1)))
        return to_ms(day), to_ms(_midnight(day + timedelta(days=7 if self is Period.WEEK else 1)))


def _hour(at_ms: int, local: datetime) -> tuple[int, int]:
    """An hour of elapsed time, since clock time repeats when summer ends; shorter where clocks change by half an hour
    within it."""
    begin = at_ms - (local.minute * 60_000 + local.second * 1000 + local.microsecond // 1000)
    quarters = range(begin, begin + 3_600_000, _QUARTER_MS)
    same = [q for q in quarters if from_ms(q).astimezone(local.tzinfo).utcoffset() == local.utcoffset()]
    return same[0], same[-1] + _QUARTER_MS


def _midnight(day: datetime) -> datetime:
    return day.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


@dataclass(frozen=True, slots=True)
class Budget:
    id: int
    scope: ScopeRef
    model: str
    """A pattern of aliases such as `gpt-5*`; empty: all."""
    env: str
    """Whose keys' charges count: `live` or `test`."""
    period: Period
    zone: str
    amount_pico: int
    hard: bool
    """A request that it does not cover is refused; else it only warns."""
    thresholds: tuple[int, ...]
    """Percent of the amount at which an alert is raised."""
    created_at: datetime

    def covers(self, model: str) -> bool:
        return matches_alias(self.model, model)


def parse_budget(text: str) -> tuple[int, Period]:
    """`10usd/month` → (pico-dollars, period). Raises `UsageError`; whichever is wrong, its hint shows both."""
    amount, slash, period = text.strip().lower().partition("/")
    hint = f"write it like 10usd/month, up to {MAX_AMOUNT_USD:,} dollars; periods: {', '.join(Period)}"
    if not slash or period not in set(Period):
        raise UsageError(f"not a budget: {text[:40]!a}", hint=hint)
    try:
        return check_amount(parse_usd(amount.removesuffix("usd"))), Period(period)
    except UsageError as error:
        raise UsageError(error.message, hint=hint) from None


def check_amount(pico: int) -> int:
    """An amount that the database and every sum of such amounts can hold. Raises `UsageError`."""
    if pico > MAX_AMOUNT_USD * PICO_PER_USD:
        raise UsageError("too large an amount", hint=f"up to {MAX_AMOUNT_USD:,} dollars")
    return pico
