"""What the console knows at one moment: a single immutable value, read in one go.

Everything on the screen is a pure function of a `Snapshot`. Each view asks its own `Question` and gets its own kind of
snapshot; what every view shows, such as alerts, is in this one. What is not known is None, never 0. Money is
pico-dollars, times are aware UTC, latencies milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from keyvault.clock import EPOCH


@dataclass(frozen=True, slots=True)
class Window:
    """How far back a view looks."""

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
    """What a view wants to know; the answer is a `Snapshot` with this question in it."""


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
class ExpiringKey:
    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RunningCapture:
    """Requests are being kept whole."""

    of: str
    """Whose: `key:ci-bot`, or `all`."""
    until: datetime


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
    """The answer to one `Question`: what every view shows; views add their own to it."""

    question: Question
    taken_at: datetime
    setup: Setup
    workers: int = 0
    targets: tuple[TargetTraffic, ...] = ()
    expiring_keys: tuple[ExpiringKey, ...] = ()
    unpriced_models: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    """What open alerts say, the newest first."""
    captures: tuple[RunningCapture, ...] = ()

    def timeless(self) -> Snapshot:
        """Without what changes by itself as time passes: equal where nothing on the screen would change."""
        return replace(self, taken_at=EPOCH)
