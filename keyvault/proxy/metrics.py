"""What one worker counts of itself, as plain integers on the hot path, rendered for Prometheus when asked.

Labels are bounded: targets come from the ledger's interned names, refusals from our own codes. Money is in dollars,
as Prometheus has no exact type; the exact figures are in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.ledger import Settlement
from keyvault.domain.routes import Target
from keyvault.errors import Refusal
from keyvault.money import PICO_PER_USD

if TYPE_CHECKING:
    from keyvault.metering.ledger import Ledger

MAX_TARGETS: Final = 1000
OTHER: Final = Target("(other)", "(other)")
SECONDS_BUCKETS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)


class Metrics:
    """Counters of one worker since it started. Only the event loop's thread writes them."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests_total = 0
        self.attempts: Counter[tuple[Target, str]] = Counter()
        self.tokens: Counter[tuple[Target, str]] = Counter()
        self.cost_pico: Counter[Target] = Counter()
        self.unknown_cost: Counter[Target] = Counter()
        self.refusals: Counter[tuple[int, str]] = Counter()
        self.seconds = [0] * (len(SECONDS_BUCKETS) + 1)
        self.seconds_sum = 0.0
        self._targets: set[Target] = set()

    def refused(self, refusal: Refusal) -> None:
        self.refusals[(refusal.status, refusal.error_code)] += 1

    def settled(self, target: Target, booked: Settlement) -> None:
        """Count one settled attempt."""
        if target not in self._targets:
            if len(self._targets) >= MAX_TARGETS:
                target = OTHER
            self._targets.add(target)
        self.requests_total += booked.final
        self.attempts[(target, booked.outcome.label)] += 1
        self.tokens[(target, "input")] += booked.usage.input or 0
        self.tokens[(target, "output")] += booked.usage.output or 0
        if booked.cost_pico is None:
            self.unknown_cost[target] += 1
        else:
            self.cost_pico[target] += booked.cost_pico
        seconds = (booked.total_ms or 0) / 1000
        self.seconds_sum += seconds
        self.seconds[sum(seconds > bound for bound in SECONDS_BUCKETS)] += 1


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
        attempts = CounterMetricFamily("gateway_attempts", "Attempts settled", labels=["upstream", "model", "outcome"])
        for (target, outcome), number in m.attempts.items():
            attempts.add_metric([target.upstream, target.model, outcome], number)
        yield attempts
        tokens = CounterMetricFamily("gateway_tokens", "Tokens counted", labels=["upstream", "model", "kind"])
        for (target, kind), number in m.tokens.items():
            tokens.add_metric([target.upstream, target.model, kind], number)
        yield tokens
        yield _by_target("gateway_cost_usd", "Cost known", {t: p / PICO_PER_USD for t, p in m.cost_pico.items()})
        yield _by_target("gateway_unknown_cost_attempts", "Attempts whose cost is not known", m.unknown_cost)
        refusals = CounterMetricFamily("gateway_refusals", "Requests refused here", labels=["status", "code"])
        for (status, code), number in m.refusals.items():
            refusals.add_metric([str(status), code], number)
        yield refusals
        bounds = [*map(str, SECONDS_BUCKETS), "+Inf"]
        cumulated = list(zip(bounds, accumulate(m.seconds), strict=True))
        yield HistogramMetricFamily("gateway_attempt_seconds", "Duration of attempts", cumulated, m.seconds_sum)


def _by_target(name: str, text: str, values: Any) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=["upstream", "model"])
    for target, value in values.items():
        family.add_metric([target.upstream, target.model], value)
    return family
