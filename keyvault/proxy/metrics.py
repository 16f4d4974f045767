"""What one worker counts of itself, as plain integers on the hot path.

A target has counts of its own once it has served, and at most a thousand have; the others share one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from keyvault.domain.ledger import Outcome, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import Refusal

MAX_TARGETS: Final = 1000
OTHER: Final = Target("(other)", "(other)")
SECONDS_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)
_MS_BUCKETS: Final = tuple(round(seconds * 1000) for seconds in SECONDS_BUCKETS)


class TargetCounts:
    """What one target has done."""

    __slots__ = ("cost_pico", "input", "outcomes", "output", "unknown_cost")

    def __init__(self) -> None:
        self.outcomes = [0] * (max(Outcome) + 1)
        self.input = 0
        self.output = 0
        self.cost_pico = 0
        self.unknown_cost = 0


class Metrics:
    """Counters of one worker since it started. Only the event loop's thread writes them."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests_total = 0
        self.targets: dict[Target, TargetCounts] = {}
        self.refusals: Counter[tuple[int, str]] = Counter()
        self.seconds = [0] * (len(SECONDS_BUCKETS) + 1)
        self._total_ms = 0
        self.first_content = [0] * (len(SECONDS_BUCKETS) + 1)
        self._first_content_ms = 0
        self.retries = 0
        """Attempts after a request's first."""
        self.charge_pico = 0
        self.doubt_pico = 0

    @property
    def seconds_sum(self) -> float:
        return self._total_ms / 1000

    @property
    def first_content_sum(self) -> float:
        return self._first_content_ms / 1000

    def refused(self, refusal: Refusal) -> None:
        self.refusals[(refusal.status, refusal.error_code)] += 1

    def settled(self, target: Target, booked: Settlement) -> None:
        """Count one settled attempt."""
        counts = self.targets.get(target)
        if counts is None:
            counts = self._first_of(target if booked.outcome is Outcome.SERVED else OTHER)
        if booked.final:
            self.requests_total += 1
        if booked.number > 1:
            self.retries += 1
        counts.outcomes[booked.outcome] += 1
        usage = booked.usage
        if usage.input:
            counts.input += usage.input
        if usage.output:
            counts.output += usage.output
        if booked.cost_pico is None:
            counts.unknown_cost += 1
        else:
            counts.cost_pico += booked.cost_pico
        if booked.charge_pico:
            self.charge_pico += booked.charge_pico
        if booked.doubt_pico:
            self.doubt_pico += booked.doubt_pico
        total, first = booked.total_ms or 0, booked.first_content_ms
        self._total_ms += total
        self.seconds[bisect_left(_MS_BUCKETS, total)] += 1
        if first is not None:
            self._first_content_ms += first
            self.first_content[bisect_left(_MS_BUCKETS, first)] += 1

    def _first_of(self, target: Target) -> TargetCounts:
        if len(self.targets) >= MAX_TARGETS:
            target = OTHER
        return self.targets.setdefault(target, TargetCounts())
