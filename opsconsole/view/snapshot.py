"""What the console knows at one moment: a single immutable value, read in one go.

Everything on the screen is a pure function of a `Snapshot`. Counts add up over the asked window; what is not known is
None, never 0. Money is pico-dollars, times are aware UTC, latencies milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final


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
class Window:
    """How far back the Live view looks."""

    label: str
    seconds: int


WINDOWS: Final = (
    Window("5 m", 300),
    Window("15 m", 900),
    Window("1 h", 3_600),
    Window("6 h", 21_600),
    Window("24 h", 86_400),
    Window("7 d", 604_800),
    Window("30 d", 2_592_000),
)
DEFAULT_WINDOW: Final = WINDOWS[1]


@dataclass(frozen=True, slots=True)
class Question:
    """What the screen wants to know; the answer is a `Snapshot`."""

    window: Window = DEFAULT_WINDOW
    by: GroupBy = GroupBy.KEY


@dataclass(frozen=True, slots=True)
class Sums:
    """What a set of requests adds up to, and how fast they were answered."""

    requests: int = 0
    attempts: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_pico: int = 0
    """The part of the cost that is known."""
    unpriced: int = 0
    """Attempts whose cost is not known."""
    uncounted: int = 0
    """Attempts whose tokens are not known."""
    first_p50_ms: float | None = None
    first_p95_ms: float | None = None
    total_p50_ms: float | None = None
    total_p95_ms: float | None = None

    @property
    def error_share(self) -> float | None:
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Bucket:
    """One step of the graphs. `seconds`: how much of it has passed, so that the newest one is not drawn too low."""

    start: datetime
    seconds: float
    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_pico: int = 0
    first_p95_ms: float | None = None


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
class TargetTraffic:
    """What one target did in the last minutes."""

    target: str
    attempts: int
    failures: int
    per_second: float
    first_p50_ms: float | None = None
    disabled: bool = False


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
class ExpiringKey:
    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Setup:
    """How far the gateway has been set up; decides whether the first-run page shows."""

    home: str
    initialised: bool = True
    upstreams: tuple[str, ...] = ()
    keys: int = 0
    listen: str | None = None
    """Where the first live worker listens; None where none runs."""
    ever_used: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answer to one `Question`."""

    question: Question
    taken_at: datetime
    setup: Setup
    totals: Sums = Sums()
    buckets: tuple[Bucket, ...] = ()
    """Oldest first."""
    rows: tuple[Row, ...] = ()
    more_rows: bool = False
    """There are more than `rows` says."""
    targets: tuple[TargetTraffic, ...] = ()
    now: Rates | None = None
    spending: Spending = field(default_factory=Spending)
    workers: int = 0
    open_streams: int | None = None
    """Answers being streamed, over all live workers; None where no worker tells."""
    expiring_keys: tuple[ExpiringKey, ...] = ()
    unpriced_models: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    """What open alerts say, the newest first."""
    last_request_at: datetime | None = None
    """Of the newest request before the window, where the window is empty."""
