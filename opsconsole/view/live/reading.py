"""From the ledger's live picture to the console's snapshot: renamed, clipped, nothing added up anew.

Names are made safe to print here, once: whatever a client put into a model name cannot reach the terminal as an escape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from keyvault.domain.keys import Key, KeyState
from keyvault.domain.reports import LivePoint, LiveRow, LiveSnapshot, LiveTarget, Totals
from opsconsole.view.live.snapshot import Rates, Row, Spending
from opsconsole.view.snapshot import ExpiringKey, TargetTraffic
from opsconsole.view.sums import Bucket, Sums
from opsconsole.view.text import printable

MOST_ROWS: Final = 2_000
RECENT: Final = timedelta(minutes=5)
"""What `LiveTarget.recent` looks back on."""
NOTICE: Final = timedelta(days=7)
"""How long before its end a key is said to expire."""
REMEMBERED: Final = timedelta(days=1)
"""How long after its end it is still said that it did."""
BEGUN: Final = 0.05
"""A step of which less has passed says nothing yet."""
_HOUR: Final = timedelta(hours=1)
_SETTLING: Final = timedelta(minutes=1)
"""Less than this is not enough to judge what an hour costs."""


def sums(totals: Totals) -> Sums:
    return Sums(
        requests=totals.requests,
        attempts=totals.attempts,
        errors=totals.errors,
        input_tokens=totals.input_tokens,
        cached_tokens=totals.cached_input_tokens,
        output_tokens=totals.output_tokens,
        cost_pico=totals.known_cost_pico,
        unpriced=totals.unknown_cost_attempts,
        uncounted=totals.basis.get("unknown", 0),
        first_p50_ms=totals.first_content_ms(0.5),
        first_p95_ms=totals.first_content_ms(0.95),
        total_p50_ms=totals.total_ms(0.5),
        total_p95_ms=totals.total_ms(0.95),
    )


TEST: Final = " (test)"
"""What marks the rows of keys for tests."""


def rows(live: LiveSnapshot) -> tuple[Row, ...]:
    """At most MOST_ROWS of them, in the order in which they come: the dearest first."""
    filled = _filled(live)
    return tuple(
        Row(
            printable(row.group) + (TEST if row.test else ""),
            printable(row.model),
            sums(row.totals),
            _trend(row, filled),
        )
        for row in live.rows[:MOST_ROWS]
    )


def _filled(live: LiveSnapshot) -> float:
    """How much of the newest step has passed."""
    return (live.at - live.points[-1].at) / live.step if live.points else 1.0


def _trend(row: LiveRow, filled: float) -> tuple[float, ...]:
    """With the newest step as high as it will be if it goes on like this; as the one before while it has only begun."""
    *full, newest = row.trend or (0,)
    if filled < BEGUN:
        return (*full, full[-1] if full else newest)
    return (*full, round(newest / min(1.0, filled)))


def buckets(live: LiveSnapshot) -> tuple[Bucket, ...]:
    return tuple(_bucket(point, min(live.step, live.at - point.at)) for point in live.points)


def _bucket(point: LivePoint, lasted: timedelta) -> Bucket:
    totals = point.totals
    return Bucket(
        start=point.at,
        seconds=lasted.total_seconds(),
        requests=totals.requests,
        errors=totals.errors,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        cost_pico=totals.known_cost_pico,
        first_p95_ms=totals.first_content_ms(0.95),
    )


def targets(found: Iterable[LiveTarget], disabled_upstreams: Collection[str]) -> tuple[TargetTraffic, ...]:
    return tuple(_target(target, target.target.partition("/")[0] in disabled_upstreams) for target in found)


def _target(target: LiveTarget, disabled: bool) -> TargetTraffic:
    recent = target.recent
    return TargetTraffic(
        target=printable(target.target),
        attempts=recent.attempts,
        failures=recent.failures,
        per_second=recent.attempts / RECENT.total_seconds(),
        first_p50_ms=recent.first_content_ms(0.5),
        disabled=disabled,
    )


def last_minute(live: LiveSnapshot) -> Rates:
    """What is known before two readings can be compared."""
    totals = live.last_minute
    return Rates(totals.requests / 60, totals.input_tokens / 60, totals.output_tokens / 60)


def spending(live: LiveSnapshot) -> Spending:
    return Spending(
        today_pico=live.today.known_cost_pico,
        today_unpriced=live.today.unknown_cost_attempts,
        hourly_pico=_hourly(live),
    )


def _hourly(live: LiveSnapshot) -> int | None:
    """What an hour costs at the rate of the window, or of the last hour where that is shorter.

    Time before the first request of the window does not count, so that a young gateway is not told too cheap.
    """
    if live.window >= _HOUR:
        return live.last_hour.known_cost_pico
    used = [point.at for point in live.points if point.totals.attempts]
    if not used:
        return 0
    lasted = min(live.window, live.at - used[0])
    if lasted < _SETTLING:
        return None
    return round(live.total.known_cost_pico * (_HOUR / lasted))


def expiring(keys: Iterable[Key], now: datetime) -> tuple[ExpiringKey, ...]:
    """Keys in use that end within a week, or ended within the last day."""
    return tuple(
        ExpiringKey(printable(key.name), key.expires_at)
        for key in keys
        if key.expires_at is not None
        and key.state is KeyState.ACTIVE
        and now - REMEMBERED < key.expires_at <= now + NOTICE
    )
