"""The live picture, read about once a second.

What is old hardly changes, so its sums are remembered for a while (a minute for windows up to a day) and only the
newest two buckets are read anew: a settlement of an attempt that began earlier shows when the memory is renewed. Older
windows are drawn in coarser steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from keyvault.clock import Clock, from_ms
from keyvault.domain.reports import LivePoint, LiveRow, LiveSnapshot, LiveTarget, Totals
from keyvault.errors import UsageError
from keyvault.metering import spans
from keyvault.metering.entries import MINUTE_MS
from keyvault.metering.groups import add, totals, values_of
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import COUNTS, HISTOGRAMS, Level, Names, Slices, Sum

GROUPS: Final = ("key", "project", "customer", "model", "target")
_WHOLE: Final = ("model", "target")
"""Groups that say which model they are about."""
_WIDTH: Final = len(COUNTS) + len(HISTOGRAMS)
_UNKNOWN_COST: Final = COUNTS.index("unknown_cost")
_RECENT_MINUTES: Final = 5
_TAIL: Final = 2
"""Buckets read anew each time."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How finely a window is read and drawn: a step of the graphs is so many buckets."""

    level: Level
    buckets: int

    @property
    def step(self) -> timedelta:
        return timedelta(minutes=self.level.value * self.buckets)


def scale(window: timedelta) -> Scale:
    if window <= timedelta(hours=1):
        return Scale(Level.MINUTE, 1)
    if window <= timedelta(days=2):
        return Scale(Level.QUARTER, 1)
    return Scale(Level.QUARTER, 8) if window <= timedelta(days=8) else Scale(Level.DAY, 1)


class Live:
    """Reads live pictures; one thread at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: dict[str, tuple[Any, list[Sum]]] = {}
        self._names = Names({}, {}, {})
        self._nameless: set[int] = set()

    def read(self, window: timedelta, by: str, zone: tzinfo) -> LiveSnapshot:
        if by not in GROUPS:
            raise UsageError(f"no live rows by {by[:40]!a}", hint=f"one of {', '.join(GROUPS)}")
        now = self._clock.now()
        with self._database.read() as tx:
            return _Reading(self, tx, now, window, scale(window), zone).snapshot(by)

    def sums(
        self, tx: Transaction, name: str, renewal: int, level: Level, first: int, last: int, **how: Any
    ) -> list[Sum]:
        """Sums, those of all but the newest buckets as they were when `renewal` last changed."""
        tail = max(first, last - _TAIL)
        asked = (renewal, level, first, tail)
        if self._kept.get(name, (None,))[0] != asked:
            self._kept[name] = (asked, rows.sums(tx, level, first, tail, **how))
        return self._kept[name][1] + rows.sums(tx, level, tail, last, **how)

    def names(self, tx: Transaction, keys: Iterable[int], targets: Iterable[int]) -> Names:
        """Names of these ids, read again only when one is missing that was not missing before."""
        missing = (set(keys) - self._names.keys.keys()) | (set(targets) - self._names.targets.keys())
        if missing - self._nameless:
            self._names = rows.names(tx)
            self._nameless = missing
        return self._names


class _Reading:
    """One reading: what all its questions have in common."""

    def __init__(
        self, live: Live, tx: Transaction, now: datetime, window: timedelta, scale: Scale, zone: tzinfo
    ) -> None:
        self._live = live
        self._tx = tx
        self._now = now
        self._now_ms = (now - from_ms(0)) // timedelta(milliseconds=1)
        self._window = window
        self._scale = scale
        self._zone = zone
        self._minute = self._now_ms // MINUTE_MS
        self._renewal = self._minute // max(1, window // timedelta(days=1))
        self._last = self._minute // scale.level.value + 1
        steps = -(-window // scale.step)
        self._first = (self._last // scale.buckets - steps + (1 if self._last % scale.buckets else 0)) * scale.buckets

    def snapshot(self, by: str) -> LiveSnapshot:
        grouped = self._sums("rows", ids=("key_id", "target_id"), histograms=True)
        recent = self._recent()
        names = self._live.names(self._tx, (s.ids[0] for s in grouped), (s.ids[1] for s in grouped))
        newest = rows.newest_started_ms(self._tx)
        return LiveSnapshot(
            at=self._now,
            window=self._window,
            by=by,
            step=self._scale.step,
            change=rows.change(self._tx),
            points=self._points(),
            rows=self._rows(by, grouped, names),
            targets=_targets(grouped, recent, names),
            total=_total(grouped),
            last_minute=self._minutes("last_minute", self._minute - 1, self._minute),
            last_hour=self._minutes("last_hour", self._minute - 59, self._minute + 1),
            today=self._today(),
            unpriced_models=tuple(sorted({_model(s.ids[1], names) for s in grouped if s.values[_UNKNOWN_COST]})),
            last_request_at=None if newest is None else from_ms(newest),
        )

    def _sums(self, name: str, **how: Any) -> list[Sum]:
        return self._live.sums(self._tx, name, self._renewal, self._scale.level, self._first, self._last, **how)

    def _slices(self) -> Slices:
        return Slices(self._scale.buckets)

    def _steps(self) -> range:
        """Numbers of the slices in the window."""
        return range(self._first // self._scale.buckets, -(-self._last // self._scale.buckets))

    def _points(self) -> tuple[LivePoint, ...]:
        found: dict[int, list[int]] = {step: [0] * _WIDTH for step in self._steps()}
        for part in self._sums("points", slices=self._slices(), histograms=True):
            add(found[part.slice or 0], part.values)
        start = from_ms(0)
        return tuple(LivePoint(start + step * self._scale.step, totals(values)) for step, values in found.items())

    def _rows(self, by: str, grouped: Sequence[Sum], names: Names) -> tuple[LiveRow, ...]:
        steps = self._steps()
        sums: dict[tuple[str, str], list[int]] = {}
        trends: dict[tuple[str, str], list[int]] = {}
        for part in grouped:
            add(sums.setdefault(_row_key(part, by, names), [0] * _WIDTH), part.values)
        for part in self._sums("trend", ids=("key_id", "target_id"), slices=self._slices(), counts=("requests",)):
            trend = trends.setdefault(_row_key(part, by, names), [0] * len(steps))
            trend[steps.index(part.slice or 0)] += part.values[0]
        found = [LiveRow(*key, totals(values), tuple(trends.get(key, ()))) for key, values in sums.items()]
        return tuple(sorted(found, key=lambda r: (-r.totals.known_cost_pico, -r.totals.requests, r.group, r.model)))

    def _recent(self) -> dict[int, list[int]]:
        first = self._minute - _RECENT_MINUTES + 1
        return _merged(
            self._live.sums(
                self._tx,
                "recent",
                self._minute,
                Level.MINUTE,
                first,
                self._minute + 1,
                ids=("target_id",),
                histograms=True,
            ),
            0,
        )

    def _minutes(self, name: str, first: int, last: int) -> Totals:
        return _total(self._live.sums(self._tx, name, self._minute, Level.MINUTE, first, last))

    def _today(self) -> Totals:
        """Whole quarters since midnight, as midnight is on one in every zone."""
        quarter = self._now_ms // spans.QUARTER_MS
        midnight = spans.midnight_ms(self._now, self._zone) // spans.QUARTER_MS
        return _total(self._live.sums(self._tx, "today", self._minute, Level.QUARTER, midnight, quarter + 1))


def _row_key(part: Sum, by: str, names: Names) -> tuple[str, str]:
    key_id, target_id = part.ids
    if by in _WHOLE:
        return values_of("target_id", target_id, names)[by][0], ""
    return values_of("key_id", key_id, names)[by][0], _model(target_id, names)


def _model(target_id: int, names: Names) -> str:
    return values_of("target_id", target_id, names)["model"][0]


def _merged(parts: Iterable[Sum], at: int) -> dict[int, list[int]]:
    """Sums by one of their ids."""
    found: dict[int, list[int]] = {}
    for part in parts:
        add(found.setdefault(part.ids[at], [0] * _WIDTH), part.values)
    return found


def _targets(grouped: Sequence[Sum], recent: dict[int, list[int]], names: Names) -> tuple[LiveTarget, ...]:
    nothing = [0] * _WIDTH
    found = [
        LiveTarget(values_of("target_id", i, names)["target"][0], totals(values), totals(recent.get(i, nothing)))
        for i, values in _merged(grouped, 1).items()
    ]
    return tuple(sorted(found, key=lambda target: target.target))


def _total(parts: Iterable[Sum]) -> Totals:
    values = [0] * _WIDTH
    for part in parts:
        add(values, part.values)
    return totals(values)
