"""What one worker counts of itself, as plain integers on the hot path, rendered for Prometheus when asked.

Labels are bounded: a target has its own once it has served, and at most a thousand have; refusals are our own codes.
Money is in dollars, as Prometheus has no exact type; the exact figures are in the ledger.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.ledger import Outcome, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import Refusal
from keyvault.money import PICO_PER_USD

if TYPE_CHECKING:
    from keyvault.metering.ledger import Ledger

MAX_TARGETS: Final = 1000
OTHER: Final = Target("(other)", "(other)")
SECONDS_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)


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
        self.seconds_sum = 0.0

    def refused(self, refusal: Refusal) -> None:
        self.refusals[(refusal.status, refusal.error_code)] += 1

    def settled(self, target: Target, booked: Settlement) -> None:
        """Count one settled attempt."""
        counts = self.targets.get(target)
        if counts is None:
            counts = self._first_of(target if booked.outcome is Outcome.SERVED else OTHER)
        self.requests_total += booked.final
        counts.outcomes[booked.outcome] += 1
        counts.input += booked.usage.input or 0
        counts.output += booked.usage.output or 0
        if booked.cost_pico is None:
            counts.unknown_cost += 1
        else:
            counts.cost_pico += booked.cost_pico
        seconds = (booked.total_ms or 0) / 1000
        self.seconds_sum += seconds
        self.seconds[bisect_left(SECONDS_BUCKETS, seconds)] += 1

    def _first_of(self, target: Target) -> TargetCounts:
        if len(self.targets) >= MAX_TARGETS:
            target = OTHER
        return self.targets.setdefault(target, TargetCounts())


class Exposition:
    """A Prometheus collector over a worker's counters."""

    def __init__(self, metrics: Metrics, ledger: Ledger, open_streams: Callable[[], int]) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._open_streams = open_streams

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        m = self._metrics
        yield GaugeMetricFamily("gateway_requests_in_flight", "Requests being served", value=m.in_flight)
        yield GaugeMetricFamily("gateway_streams_open", "Streams being relayed", value=self._open_streams())
        yield GaugeMetricFamily(
            "gateway_ledger_queue", "Entries waiting for the ledger's writer", value=self._ledger.depth
        )
        yield CounterMetricFamily("gateway_requests", "Requests settled", value=m.requests_total)
        yield from self._by_target()
        refusals = CounterMetricFamily("gateway_refusals", "Requests refused here", labels=["status", "code"])
        for (status, code), number in m.refusals.items():
            refusals.add_metric([str(status), code], number)
        yield refusals
        bounds = [*map(str, SECONDS_BUCKETS), "+Inf"]
        cumulated = list(zip(bounds, accumulate(m.seconds), strict=True))
        yield HistogramMetricFamily("gateway_attempt_seconds", "Duration of attempts", cumulated, m.seconds_sum)

    def _by_target(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily

        labels = ["upstream", "model"]
        attempts = CounterMetricFamily("gateway_attempts", "Attempts settled", labels=[*labels, "outcome"])
        tokens = CounterMetricFamily("gateway_tokens", "Tokens counted", labels=[*labels, "kind"])
        cost = CounterMetricFamily("gateway_cost_usd", "Cost known", labels=labels)
        unknown = CounterMetricFamily("gateway_unknown_cost_attempts", "Attempts of unknown cost", labels=labels)
        for target, counts in self._metrics.targets.items():
            names = [target.upstream, target.model]
            for outcome in Outcome:
                if counts.outcomes[outcome]:
                    attempts.add_metric([*names, outcome.label], counts.outcomes[outcome])
            tokens.add_metric([*names, "input"], counts.input)
            tokens.add_metric([*names, "output"], counts.output)
            cost.add_metric(names, counts.cost_pico / PICO_PER_USD)
            unknown.add_metric(names, counts.unknown_cost)
        yield from (attempts, tokens, cost, unknown)
