"""Drills: one target made to fail on purpose for one key, for a bounded time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from keyvault.domain.routes import Target
from keyvault.errors import UsageError

LONGEST: Final = timedelta(hours=1)
_SKEW: Final = timedelta(minutes=1)
"""By so much the clocks of several machines may differ."""


class Fault(StrEnum):
    """What a target does instead of answering."""

    REFUSE = "refuse"
    HANG = "hang"
    LIMITED = "429"
    SERVER = "500"
    SLOW = "slow"
    CUT = "cut"
    GARBAGE = "garbage"

    @property
    def reaches_provider(self) -> bool:
        """Whether requests go to the target all the same, and so may cost."""
        return self in (Fault.SLOW, Fault.CUT)


FAULTS: Final[Mapping[Fault, str]] = {
    Fault.REFUSE: "takes no connection",
    Fault.HANG: "takes the request and never answers",
    Fault.LIMITED: "answers 429, to be asked again in a minute",
    Fault.SERVER: "answers 500",
    Fault.SLOW: "is asked only after ten seconds",
    Fault.CUT: "ends in the middle of its answer",
    Fault.GARBAGE: "answers 200 with a page of HTML",
}
"""What each is, in words."""


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. It is over at `until`, whether or not anybody ends it."""

    id: int
    key_id: int
    key: str
    target: Target
    fault: Fault
    created_at: datetime
    until: datetime
    ended_at: datetime | None = None

    def runs_at(self, now: datetime) -> bool:
        return self.ended_at is None and self.created_at - _SKEW <= now < self.until


def parse_fault(text: str) -> Fault:
    """Raises `UsageError`."""
    try:
        return Fault(text.strip().lower())
    except ValueError:
        raise UsageError(f"no such fault: {text[:40]!a}", hint=f"one of {', '.join(Fault)}") from None


def check_lasts(lasts: timedelta) -> timedelta:
    """Raises `UsageError` for a time in which nothing could be tried, or that nobody would remember."""
    if not timedelta(seconds=1) <= lasts <= LONGEST:
        raise UsageError("a drill lasts from a second to an hour", hint="--for 60s")
    return lasts
