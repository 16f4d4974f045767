"""What Prometheus is told of one worker, read when it asks.

Labels are bounded: targets as in `metrics`, refusals by our own codes, money and limits by kind and never by whose they
are. Money is in dollars, as Prometheus has no exact type; the exact figures are in the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.balances import Balance
from keyvault.domain.ledger import Outcome
from keyvault.money import PICO_PER_USD
from keyvault.proxy.metrics import SECONDS_BUCKETS, Metrics
from keyvault.routing.health import State

if TYPE_CHECKING:
    from keyvault.clock import Clock
    from keyvault.metering.account import Account
    from keyvault.metering.ledger import Ledger
    from keyvault.proxy.tables import Tables

_STATES: Final = (State.OPEN, State.HALF_OPEN, State.COOLING)


class Exposition:
    """A Prometheus collector over a worker's counters."""

    def __init__(
        self, metrics: Metrics, ledger: Ledger, tables: Tables, clock: Clock, open_streams: Callable[[], int]
    ) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._tables = tables
        self._clock = clock
        self._open_streams = open_streams

    def collect(self) -> Iterator[Any]:
        yield from self._now()
        yield from self._by_target()
        yield from self._refusals()
        yield from self._accounts()
        yield from self._health()
        yield from self._latencies()

    def _now(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        m = self._metrics
        yield GaugeMetricFamily("gateway_requests_in_flight", "Requests being served", value=m.in_flight)
        yield GaugeMetricFamily("gateway_streams_open", "Streams being relayed", value=self._open_streams())
        yield GaugeMetricFamily(
            "gateway_ledger_queue", "Entries waiting for the ledger's writer", value=self._ledger.depth
        )
        yield CounterMetricFamily("gateway_requests", "Requests settled", value=m.requests_total)
        yield CounterMetricFamily("gateway_retries", "Attempts after a request's first", value=m.retries)
        yield CounterMetricFamily("gateway_charge_usd", "Charged to customers", value=m.charge_pico / PICO_PER_USD)
        text = "Charged to nobody, though providers may have taken it"
        yield CounterMetricFamily("gateway_doubt_usd", text, value=m.doubt_pico / PICO_PER_USD)

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

    def _refusals(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily

        refusals = CounterMetricFamily("gateway_refusals", "Requests refused here", labels=["status", "code"])
        for (status, code), number in self._metrics.refusals.items():
            refusals.add_metric([str(status), code], number)
        yield refusals
        limited = CounterMetricFamily("gateway_limited", "Requests that came too fast", labels=["kind"])
        for kind, number in self._tables.limiter.refused.items():
            limited.add_metric([kind], number)
        yield limited

    def _accounts(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        every = list(self._tables.accounts.every)
        held = GaugeMetricFamily("gateway_held_usd", "Held for requests under way", labels=["account"])
        number = GaugeMetricFamily("gateway_accounts", "Budgets and balances", labels=["account", "state"])
        for kind, accounts in (
            ("budget", [a for a in every if not isinstance(a.of, Balance)]),
            ("balance", [a for a in every if isinstance(a.of, Balance)]),
        ):
            held.add_metric([kind], sum(account.held_pico for account in accounts) / PICO_PER_USD)
            for state, count in _standing(accounts).items():
                number.add_metric([kind, state], count)
        yield from (held, number)

    def _health(self) -> Iterator[Any]:
        """Only targets with something against them, and not more of those than the heartbeat tells."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily("gateway_breaker", "Targets not fully in use", labels=["target", "state"])
        for told in self._tables.health.told(self._clock.now_ms()):
            if told.state in _STATES:
                family.add_metric([told.target, told.state.value], 1)
        yield family

    def _latencies(self) -> Iterator[Any]:
        from prometheus_client.core import HistogramMetricFamily

        m = self._metrics
        yield HistogramMetricFamily(
            "gateway_attempt_seconds", "Duration of attempts", _cumulated(m.seconds), m.seconds_sum
        )
        text = "Time to the first content"
        yield HistogramMetricFamily(
            "gateway_first_content_seconds", text, _cumulated(m.first_content), m.first_content_sum
        )


def _standing(accounts: Sequence[Account]) -> Counter[str]:
    """How many have something left."""
    return Counter("left" if account.available_pico > 0 else "used up" for account in accounts)


def _cumulated(buckets: Sequence[int]) -> list[tuple[str, int]]:
    return list(zip([*map(str, SECONDS_BUCKETS), "+Inf"], accumulate(buckets), strict=True))
