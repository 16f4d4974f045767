"""Usage as a console turns it about: a stretch of time in steps, grouped by one dimension, narrowed by any others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keyvault.domain.reports import Totals


class Stretch(StrEnum):
    """How far back: hours by the hour, the others by whole days of the time zone."""

    HOURS = "24 h"
    WEEK = "7 d"
    DAYS = "30 d"
    MONTH = "this month"
    LAST_MONTH = "last month"


@dataclass(frozen=True, slots=True)
class PivotAsked:
    """What is asked. `by`: customer, project, key, model, target or day."""

    by: str = "customer"
    stretch: Stretch = Stretch.HOURS
    day: str = ""
    """Only this day of the time zone, by the hour: `2026-10-01`."""
    only: tuple[tuple[str, str], ...] = ()
    """Dimensions with the one value that counts, in the order in which one came to them."""
    tests: bool = False
    """With what keys for tests did."""


@dataclass(frozen=True, slots=True)
class PivotRow:
    """One group."""

    name: str
    totals: Totals
    costs: tuple[int, ...]
    """Known cost in each step, pico-dollars, oldest first."""
    requests: tuple[int, ...]
    """Requests in each step."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one of the others took."""

    name: str
    cost_pico: int | None
    """The known part of it; None where nothing is known."""
    requests: int


@dataclass(frozen=True, slots=True)
class Pivot:
    """The answer. Attempts belong to the moment they began."""

    asked: PivotAsked
    since: datetime
    until: datetime
    """Where the last step ends, which may still be filling."""
    step: timedelta
    rows: tuple[PivotRow, ...]
    """The dearest first; days in their order."""
    steps: tuple[Totals, ...]
    total: Totals
    models: tuple[Share, ...]
    """By cost, whatever the rows are grouped by."""
    customers: tuple[Share, ...]
    ends: datetime | None = None
    """When the present month does, where it is looked at."""
    left_out: int = 0
    """Requests of keys for tests that are not counted."""


def elapsed(since: datetime, until: datetime, now: datetime) -> float:
    """How much of a stretch has passed, 0 to 1."""
    return min(1.0, max(0.0, (now - since) / (until - since)))


def projected(pico: int, since: datetime, until: datetime | None, now: datetime) -> int | None:
    """What it will be at the end if it goes on like this; None where there is no end, or too little has passed."""
    if until is None or now >= until:
        return None
    passed = elapsed(since, until, now)
    return round(pico / passed) if passed >= 0.01 else None
