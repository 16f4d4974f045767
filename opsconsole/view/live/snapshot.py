"""What the Live view knows at one moment. Counts add up over the asked window."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from keyvault.clock import EPOCH
from opsconsole.view.snapshot import DEFAULT_WINDOW, Question, Snapshot, Window
from opsconsole.view.sums import Bucket, Sums


class GroupBy(StrEnum):
    """What the rows of the Live table stand for."""

    KEY = "key"
    MODEL = "model"
    PROJECT = "project"
    CUSTOMER = "customer"
    TARGET = "target"

    @property
    def splits_by_model(self) -> bool:
        """Whether a row stands for a pair with a model; a model or target already names its own."""
        return self not in (GroupBy.MODEL, GroupBy.TARGET)

    @property
    def heading(self) -> str:
        return f"{self} × model" if self.splits_by_model else str(self)


@dataclass(frozen=True, slots=True)
class LiveQuestion(Question):
    """What the Live view wants to know."""

    window: Window = DEFAULT_WINDOW
    by: GroupBy = GroupBy.KEY


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a group, its model where the grouping splits by model, and what they add up to."""

    group: str
    model: str
    sums: Sums
    trend: tuple[float, ...] = ()
    """Requests per step, oldest first, over the window."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same row in the next snapshot."""
        return self.group, self.model


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast things happen now, per second."""

    requests: float
    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Spending:
    """Cost since midnight where the reader sits, and what an hour costs at the present rate."""

    today_pico: int = 0
    today_unpriced: int = 0
    hourly_pico: int | None = None
    """None while nothing has been seen to judge by."""


@dataclass(frozen=True, slots=True)
class LiveSnapshot(Snapshot):
    """The answer to a `LiveQuestion`."""

    question: LiveQuestion
    totals: Sums = field(default_factory=Sums)
    buckets: tuple[Bucket, ...] = ()
    """Oldest first."""
    rows: tuple[Row, ...] = ()
    more_rows: bool = False
    """There are more than `rows` says."""
    now: Rates | None = None
    spending: Spending = field(default_factory=Spending)
    open_streams: int | None = None
    """Answers being streamed, over all live workers; None where no worker tells."""
    last_request_at: datetime | None = None
    """Of the newest request before the window, where the window is empty."""

    def timeless(self) -> LiveSnapshot:
        """Without the time, and the age of a last step in which nothing happened."""
        buckets = self.buckets
        if buckets and not buckets[-1].requests:
            buckets = (*buckets[:-1], replace(buckets[-1], seconds=0))
        return replace(self, taken_at=EPOCH, buckets=buckets)
