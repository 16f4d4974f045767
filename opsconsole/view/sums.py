"""What requests add up to: over a window, and step by step for graphs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
