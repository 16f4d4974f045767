"""What the Usage view knows at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from keyvault.clock import EPOCH
from keyvault.domain.narrowing import Narrowing
from keyvault.domain.pivot import Pivot, PivotAsked
from opsconsole.view.keys.snapshot import Cap
from opsconsole.view.snapshot import Question, Snapshot

DEEPER: Final = {
    "day": "customer",
    "customer": "project",
    "project": "key",
    "target": "key",
    "key": "model",
    "model": "",
}
"""What a row is made of; a model's are requests."""
MOST_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class UsageQuestion(Question):
    """What the Usage view wants to know."""

    asked: PivotAsked = field(default_factory=PivotAsked)


@dataclass(frozen=True, slots=True)
class UsageSnapshot(Snapshot):
    """The answer to a `UsageQuestion`. Names are as they are in the ledger, and made safe when they are written."""

    question: UsageQuestion
    pivot: Pivot | None = None
    """None only where the gateway is not set up."""
    caps: tuple[CapSince, ...] = ()

    def timeless(self) -> UsageSnapshot:
        return replace(self, taken_at=EPOCH)


@dataclass(frozen=True, slots=True)
class CapSince:
    """A budget as it stands, and since when its period runs."""

    cap: Cap
    since: datetime


def deeper(asked: PivotAsked, name: str) -> PivotAsked | None:
    """What a row is made of: the next grouping, of this row alone; None where that is single requests."""
    inside = replace(asked, day=name) if asked.by == "day" else replace(asked, only=(*asked.only, (asked.by, name)))
    by = DEEPER[asked.by]
    while by and by in dict(inside.only):
        by = DEEPER[by]
    return replace(inside, by=by) if by else None


def narrowing(pivot: Pivot, name: str, now: datetime) -> Narrowing:
    """The requests of a row, as the Requests view is told."""
    found = Narrowing(since=pivot.since, until=None if pivot.until > now else pivot.until)
    for dimension, value in (*pivot.asked.only, (pivot.asked.by, name)):
        found = found.to(dimension, value)
    return found
