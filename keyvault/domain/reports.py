"""What the ledger's reports say: sums over attempts, lines of requests, the live picture.

Counts add up what is known; how many attempts were not counted or priced stands beside them. An attempt that came to
nothing (it did not reach its provider, was refused, or asked for what is free) is known to have neither tokens nor a
cost: it says nothing about how well the others are known. A cost is None where there are others and none of them has a
known cost. Money is pico-dollars, latencies are milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from keyvault.domain.latencies import LATENCY_BOUNDS_MS

Histogram = tuple[int, ...]
"""Attempts per latency bucket; the bounds are `LATENCY_BOUNDS_MS`, one more bucket takes the rest."""

DIMENSIONS: Final = (
    "customer", "project", "key", "tag", "env", "alias", "model", "upstream", "target", "day", "hour",
)  # fmt: skip
"""What usage can be grouped by. Customer and project are those who pay, and so are their tags."""

LIVE: Final = "live"
TEST: Final = "test"

NO_TAG: Final = "(untagged)"


def quantile_ms(histogram: Histogram, share: float) -> float | None:
    """The latency that `share` of the attempts stayed below, linear within a bucket; None without attempts.

    What fell beyond the last bound reads as that bound: at least so long.
    """
    rank = share * sum(histogram)
    if not rank:
        return None
    lower = 0
    for count, upper in zip(histogram, (*LATENCY_BOUNDS_MS, LATENCY_BOUNDS_MS[-1]), strict=True):
        if count and rank <= count:
            return lower + (upper - lower) * rank / count
        rank -= count
        lower = upper
    return float(LATENCY_BOUNDS_MS[-1])


@dataclass(frozen=True, slots=True)
class Totals:
    """What a set of attempts adds up to."""

    requests: int = 0
    """Requests that ended: each counts once, with its last attempt."""
    attempts: int = 0
    errors: int = 0
    """Requests whose last attempt failed or was lost; a client that left is not an error."""
    failures: int = 0
    """Attempts that failed or were lost, whoever served the request in the end."""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    known_cost_pico: int = 0
    charge_pico: int = 0
    doubt_pico: int = 0
    """What nobody is charged for and providers may have taken all the same, at the customers' prices."""
    unknown_cost_attempts: int = 0
    free_attempts: int = 0
    """Attempts that came to nothing: see above."""
    basis: dict[str, int] = field(default_factory=dict)
    """All other attempts by how their counts are known: `provider`, `tokenizer`, `estimate`, `unknown`; only those that
    occur."""
    first_content: Histogram = ()
    """Time to the first content, of the attempts that had any."""
    total: Histogram = ()
    """Time to the end of the answer, of the attempts that were served."""

    @property
    def cost_pico(self) -> int | None:
        """The cost, or the known part of it; None where nothing is known of it."""
        unknown = self.unknown_cost_attempts
        return None if unknown and unknown == self.attempts - self.free_attempts else self.known_cost_pico

    @property
    def unknown_charges(self) -> int:
        """Attempts, at most, whose charge nobody knows: what has no cost has no charge, unless it failed."""
        return min(self.unknown_cost_attempts, self.attempts - self.failures)

    @property
    def told_charge_pico(self) -> int | None:
        """The charge, or the known part of it; None where nothing is known of it."""
        return None if self.unknown_charges and not self.charge_pico else self.charge_pico

    @property
    def served(self) -> int:
        """Attempts that were answered in whole."""
        return sum(self.total)

    def first_content_ms(self, share: float) -> float | None:
        return quantile_ms(self.first_content, share) if self.first_content else None

    def total_ms(self, share: float) -> float | None:
        return quantile_ms(self.total, share) if self.total else None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One group. `group`: the values of the asked dimensions, in the asked order."""

    group: tuple[str, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Usage between two moments. Attempts belong to the moment they started."""

    by: tuple[str, ...]
    since: datetime
    """As far as the totals are fine enough: the asked moment, taken back to its minute or quarter of an hour."""
    until: datetime
    tz: str
    rows: tuple[UsageRow, ...]
    """In order of time where grouped by it, else the dearest first. Grouped by tag, an attempt stands in the row of
    each of its tags."""
    total: Totals
    envs: tuple[str, ...] = (LIVE, TEST)
    """Whose keys' traffic it is about: that of keys for tests is left out unless it is asked for."""
    left_out: Totals | None = None
    """What keys of another environment did meanwhile; None where nothing was left out."""


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """One attempt, settled or still open (then `outcome` is `open`)."""

    number: int
    at: datetime
    target: str
    dialect: str
    stream: bool
    status: int | None
    outcome: str
    error_code: str | None
    error_text: str | None
    provider_request_id: str | None
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    images: int | None
    basis: str
    price_id: int | None
    cost_pico: int | None
    charge_pico: int | None
    bound_pico: int | None
    first_content_ms: int | None
    total_ms: int | None
    hold_pico: int | None = None
    """What was held for it, at the customer's price."""
    doubt_pico: int | None = None
    """What nobody is charged for and the provider may have taken all the same."""


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One request that ended, over all its attempts: counts, cost and charge are sums, the rest is of the last one."""

    request_id: str
    at: datetime
    customer: str
    """Who pays, as is the project."""
    project: str
    key: str
    env: str
    tags: Mapping[str, str]
    """The request's own."""
    alias: str
    model: str
    target: str
    dialect: str
    status: int | None
    outcome: str
    error: str | None
    attempts: int
    stream: bool
    input_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_pico: int | None
    """None where any attempt's cost is unknown."""
    charge_pico: int | None
    basis: str
    first_content_ms: int | None
    """Since the request's first attempt began."""
    total_ms: int | None
    failed_over: tuple[str, ...] = ()
    """The attempts before the last: target and error code of each."""

    @property
    def ended_at(self) -> datetime:
        """When its answer ended; where nobody saw that, when it began."""
        return self.at + timedelta(milliseconds=self.total_ms or 0)


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """A request with all its attempts. `line` sums up the attempts so far; its outcome is `open` while one is open."""

    line: RequestLine
    generation: int
    """Of the key."""
    attempts: tuple[AttemptLine, ...]


@dataclass(frozen=True, slots=True)
class LivePoint:
    """One step of the live graphs."""

    at: datetime
    totals: Totals


@dataclass(frozen=True, slots=True)
class LiveRow:
    """One group × model; `model` is empty where the grouping already says it (model, target)."""

    group: str
    model: str
    totals: Totals
    trend: tuple[int, ...]
    """Requests per step of the graphs, oldest first."""
    test: bool = False
    """What keys for tests did stands in rows of its own."""


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A target that had traffic in the window."""

    target: str
    totals: Totals
    recent: Totals
    """Of the last five minutes: for health, which should forget sooner than a graph."""


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """The live picture of a window that ends now."""

    at: datetime
    window: timedelta
    by: str
    step: timedelta
    """Between two points: a minute, a quarter of an hour, two hours or a day, by the window's length."""
    change: int
    """The ledger's change marker that the picture was read at."""
    points: tuple[LivePoint, ...]
    """Oldest first, without gaps; the newest step is still filling."""
    rows: tuple[LiveRow, ...]
    """The dearest first."""
    targets: tuple[LiveTarget, ...]
    total: Totals
    last_minute: Totals
    """The sixty seconds of the newest whole minute."""
    last_hour: Totals
    today: Totals
    """Since midnight in the asked time zone."""
    unpriced_models: tuple[str, ...]
    """Models with attempts of unknown cost in the window, sorted."""
    last_request_at: datetime | None
    """When the newest request of all began; None in an empty ledger."""


def add(parts: Sequence[Totals]) -> Totals:
    """The sum of several totals."""
    basis: dict[str, int] = {}
    for part in parts:
        for name, count in part.basis.items():
            basis[name] = basis.get(name, 0) + count
    return Totals(
        requests=sum(p.requests for p in parts),
        attempts=sum(p.attempts for p in parts),
        errors=sum(p.errors for p in parts),
        failures=sum(p.failures for p in parts),
        input_tokens=sum(p.input_tokens for p in parts),
        cached_input_tokens=sum(p.cached_input_tokens for p in parts),
        cache_write_tokens=sum(p.cache_write_tokens for p in parts),
        output_tokens=sum(p.output_tokens for p in parts),
        reasoning_tokens=sum(p.reasoning_tokens for p in parts),
        known_cost_pico=sum(p.known_cost_pico for p in parts),
        charge_pico=sum(p.charge_pico for p in parts),
        doubt_pico=sum(p.doubt_pico for p in parts),
        unknown_cost_attempts=sum(p.unknown_cost_attempts for p in parts),
        free_attempts=sum(p.free_attempts for p in parts),
        basis=basis,
        first_content=tuple(map(sum, zip(*(p.first_content for p in parts if p.first_content), strict=True))),
        total=tuple(map(sum, zip(*(p.total for p in parts if p.total), strict=True))),
    )
