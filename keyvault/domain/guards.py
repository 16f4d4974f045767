"""Guards of a rollout: what a new target may be at the most, beside the targets that serve now.

`error_rate < +1%` allows one percentage point more, `p95 < 1.3x` thirty per cent longer, `p95 < 2s` two seconds
whatever the others take. What is measured is the first attempt of each request, so that a fallback hides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keyvault.domain.names import shown
from keyvault.errors import UsageError


class Kind(StrEnum):
    """What a guard measures."""

    RATE = "rate"
    TIME = "time"
    COST = "cost"


class Sort(StrEnum):
    """How its bound is meant."""

    MORE = "more"
    """So much more than the others: percentage points, milliseconds."""
    TIMES = "times"
    """So many times as much as the others."""
    FIXED = "fixed"
    """Whatever the others do: a share, milliseconds, dollars."""


RATES: Final = ("error_rate", "left_rate")
"""`error_rate`: failed attempts; `left_rate`: clients that left before their answer was complete."""
COST: Final = "cost_per_request"
_TIMES: Final = re.compile(r"(first_content_)?p(50|90|95|99)\Z")
_GUARD: Final = re.compile(
    r"\s*([a-z_0-9]+)\s*<\s*(\+?)\s*\$?([0-9]{1,7}(?:\.[0-9]{1,6})?)\s*(%|x|ms|s|usd)?\s*\Z", re.IGNORECASE
)
_HINT: Final = "write it like 'error_rate < +1%', 'p95 < 1.3x' or 'cost_per_request < 2x'"
MEASURES: Final = (
    *RATES, *(f"{first}p{number}" for first in ("", "first_content_") for number in (50, 90, 95, 99)), COST
)  # fmt: skip
_UNITS: Final = {Kind.RATE: "%", Kind.TIME: "ms", Kind.COST: "usd"}


@dataclass(frozen=True, slots=True)
class Guard:
    """`measure < bound`. The bound of a rate is a share, of a time milliseconds, of a cost dollars, or a factor."""

    measure: str
    sort: Sort
    bound: float
    text: str
    """As people write it."""

    @property
    def kind(self) -> Kind:
        if self.measure in RATES:
            return Kind.RATE
        return Kind.COST if self.measure == COST else Kind.TIME

    @property
    def quantile(self) -> float:
        """Of a guard on times."""
        return int(self.measure.rpartition("p")[2]) / 100

    @property
    def first_content(self) -> bool:
        return self.measure.startswith("first_content_")

    @property
    def compares(self) -> bool:
        """Whether it needs the other arm."""
        return self.sort is not Sort.FIXED

    def __str__(self) -> str:
        return self.text


def parse_guard(text: str) -> Guard:
    """`error_rate < +1%` → Guard. Raises `UsageError`."""
    match = _GUARD.match(text)
    if match is None:
        raise UsageError(f"not a guard: {shown(text)}", hint=_HINT)
    measure, plus, number, unit = match[1].lower(), match[2], float(match[3]), (match[4] or "").lower()
    if measure not in RATES and measure != COST and not _TIMES.match(measure):
        raise UsageError(f"nothing is measured as {shown(measure)}", hint=f"one of {', '.join(MEASURES)}")
    sort = Sort.TIMES if unit == "x" else Sort.MORE if plus else Sort.FIXED
    guard = Guard(measure, sort, _bound(number, unit), f"{measure} < {plus}{_plain(number)}{unit}")
    _check(guard, unit, text)
    return guard


def _check(guard: Guard, unit: str, text: str) -> None:
    if guard.sort is Sort.TIMES:
        if guard.bound < 1:
            raise UsageError(f"a factor below 1x would take out what is as good as now: {shown(text)}", hint=_HINT)
        return
    wanted = _UNITS[guard.kind]
    if unit != wanted and not (guard.kind is Kind.TIME and unit == "s") and not (guard.kind is Kind.COST and not unit):
        raise UsageError(f"the bound of {guard.measure} is in {wanted} or x: {shown(text)}", hint=_HINT)
    if guard.kind is Kind.COST and guard.sort is Sort.MORE:
        raise UsageError(f"a cost is compared by a factor: {shown(text)}", hint=_HINT)
    if guard.kind is Kind.RATE and not guard.bound < 1:
        raise UsageError(f"a rate is always below {_plain(guard.bound * 100)} %: {shown(text)}", hint=_HINT)


def _bound(number: float, unit: str) -> float:
    return number / 100 if unit == "%" else number * 1000 if unit == "s" else number


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
