"""The live picture, read about once a second.

While the ledger does not change, the picture is the same object until the minute turns, and nothing is read. What is
old hardly changes, so its sums are remembered for a while (a minute for windows up to a day) and only the newest two
buckets are read anew, once for all that is told of them: a settlement of an attempt that began earlier shows when the
memory is renewed. Older windows are drawn in coarser steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final, TypeVar

from keyvault.clock import Clock, from_ms, to_ms
from keyvault.domain.reports import TEST, LivePoint, LiveRow, LiveSnapshot, LiveTarget, Totals
from keyvault.errors import UsageError
from keyvault.metering import spans
from keyvault.metering.entries import MINUTE_MS
from keyvault.metering.groups import collect, of_key, of_payer, of_target, summed, totals
from keyvault.storage import epochs
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import COUNTS, HISTOGRAMS, Level, Names, Slices, Sum

GROUPS: Final = ("key", "project", "customer", "model", "target")
_WHOLE: Final = ("model", "target")
"""Groups that say which model they are about."""
_WIDTH: Final = len(COUNTS) + len(HISTOGRAMS)
_UNKNOWN_COST: Final = COUNTS.index("unknown_cost")
_REQUESTS: Final = COUNTS.index("requests")
_RECENT_MINUTES: Final = 5
_TAIL: Final = 2
"""Buckets read anew each time."""

T = TypeVar("T")
Group = tuple[int, ...]
"""Slice (where time is cut) and ids."""
_IDS: Final = ("key_id", "target_id", "project_id")
Sums = dict[Group, list[int]]
_Window = tuple[Level, int, int, int]
"""Level, first and last bucket, renewal: old sums are read again when it changes."""


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
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._names = Names({}, {}, {}, {})
        self._nameless: set[tuple[int, int]] = set()
        self._named_at = -1
        """The epoch that the names are of."""
        self._last: tuple[object, LiveSnapshot] | None = None

    def read(self, window: timedelta, by: str, zone: tzinfo) -> LiveSnapshot:
        if by not in GROUPS:
            raise UsageError(f"no live rows by {by[:40]!a}", hint=f"one of {', '.join(GROUPS)}")
        now = self._clock.now()
        with self._database.read() as tx:
            change, epoch = rows.change(tx), epochs.current(tx)[0]
            state = (window, by, zone, to_ms(now) // MINUTE_MS, change, epoch)
            if self._last is None or self._last[0] != state:
                self._forget_names(epoch)
                self._last = (state, _Reading(self, tx, now, window, scale(window), zone).snapshot(by, change))
        return self._last[1]

    def remembered(self, name: str, asked: Any, make: Callable[[], T]) -> T:
        """What was made when this was last asked, for as long as exactly the same is asked."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != asked:
            kept = self._kept[name] = (asked, make())
        found: T = kept[1]
        return found

    def _forget_names(self, epoch: int) -> None:
        """Where a key, a project or a customer may be called something else now."""
        if epoch != self._named_at:
            self._names, self._nameless, self._named_at = Names({}, {}, {}, {}), set(), epoch

    def names(self, tx: Transaction, groups: Iterable[Group]) -> Names:
        """Names of these ids, read again only when one is missing that was not missing before."""
        known = (self._names.keys, self._names.targets, {0: None, **self._names.projects})
        columns = zip(known, zip(*groups, strict=True), strict=False)
        missing = {(at, number) for at, (names, ids) in enumerate(columns) for number in {*ids} - names.keys()}
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
        self._now_ms = to_ms(now)
        self._newest: dict[Level, list[Sum]] = {}
        self._window = window
        self._scale = scale
        self._zone = zone
        self._minute = self._now_ms // MINUTE_MS
        self._renewal = self._minute // max(1, window // timedelta(days=1))
        self._last = self._minute // scale.level.value + 1
        steps = -(-window // scale.step)
        self._first = (self._last // scale.buckets - steps + (1 if self._last % scale.buckets else 0)) * scale.buckets

    def snapshot(self, by: str, change: int) -> LiveSnapshot:
        window = (self._scale.level, self._first, self._last, self._renewal)
        pairs = self._sums("rows", *window, ids=_IDS)
        names = self._live.names(self._tx, pairs)
        newest = rows.newest_started_ms(self._tx)
        return LiveSnapshot(
            at=self._now,
            window=self._window,
            by=by,
            step=self._scale.step,
            change=change,
            points=self._points(window),
            rows=self._rows(by, pairs, window, names),
            targets=self._targets(pairs, names),
            total=_total(pairs),
            last_minute=self._minutes("last_minute", self._minute - 1, self._minute),
            last_hour=self._minutes("last_hour", self._minute - 59, self._minute + 1),
            today=self._today(),
            unpriced_models=tuple(
                sorted({_model(t, names) for (_, t, _), v in pairs.items() if v[_UNKNOWN_COST]} - {""})
            ),
            last_request_at=None if newest is None else from_ms(newest),
        )

    def _sums(
        self,
        name: str,
        level: Level,
        first: int,
        last: int,
        renewal: int,
        ids: Sequence[str] = (),
        slices: Slices | None = None,
        *,
        histograms: bool = True,
    ) -> Sums:
        """Sums by slice and ids, those of all but the newest buckets as they were when `renewal` last changed."""
        tail = max(first, last - _TAIL)

        def old() -> Sums:
            found = rows.sums(self._tx, level, first, tail, ids, slices=slices, histograms=histograms)
            return {part.ids if slices is None else (part.slice or 0, *part.ids): part.values for part in found}

        found = dict(self._live.remembered(name, (level, first, tail, renewal), old))
        width = _WIDTH if histograms else len(COUNTS)
        places = [_IDS.index(each) for each in ids]
        for bucket, part in self._between(level, tail, last):
            of = tuple(part.ids[at] for at in places)
            collect(found, of if slices is None else (bucket // slices.buckets, *of), part.values[:width])
        return found

    def _between(self, level: Level, first: int, last: int) -> Iterator[tuple[int, Sum]]:
        """Buckets of the newest ones, and what each key, target and payer did in them: read once for every question."""
        newest = self._newest.get(level)
        if newest is None:
            end = self._minute // level.value + 1
            newest = self._newest[level] = rows.sums(
                self._tx, level, end - _TAIL, end, _IDS, slices=Slices(1), histograms=True
            )
        for part in newest:
            if part.slice is not None and first <= part.slice < last:
                yield part.slice, part

    def _steps(self) -> range:
        """Numbers of the slices in the window."""
        return range(self._first // self._scale.buckets, -(-self._last // self._scale.buckets))

    def _points(self, window: _Window) -> tuple[LivePoint, ...]:
        found = self._sums("points", *window, slices=Slices(self._scale.buckets))
        start, nothing = from_ms(0), [0] * _WIDTH
        return tuple(
            LivePoint(start + step * self._scale.step, totals(found.get((step,), nothing))) for step in self._steps()
        )

    def _rows(self, by: str, pairs: Sums, window: _Window, names: Names) -> tuple[LiveRow, ...]:
        trends, flat = self._trends(window), [0] * len(self._steps())
        sums: dict[tuple[str, str, bool], list[int]] = {}
        shapes: dict[tuple[str, str, bool], list[int]] = {}
        for pair, values in pairs.items():
            row = _row_key(pair, by, names)
            collect(sums, row, values)
            collect(shapes, row, trends.get(pair, flat))
        found = [
            LiveRow(group, model, totals(values), tuple(shapes[group, model, test]), test)
            for (group, model, test), values in sums.items()
        ]
        return tuple(sorted(found, key=lambda r: (-r.totals.known_cost_pico, -r.totals.requests, r.group, r.model)))

    def _trends(self, window: _Window) -> dict[Group, list[int]]:
        """Requests per step of each key, target and payer."""
        level, first, last, renewal = window
        tail, buckets = max(first, last - _TAIL), self._scale.buckets

        def old() -> dict[Group, list[int]]:
            found = rows.sums(self._tx, level, first, tail, _IDS, slices=Slices(buckets), counts=("requests",))
            return self._shapes({}, ((part.slice or 0, part.ids, part.values[0]) for part in found))

        kept = self._live.remembered("trend", (level, first, tail, renewal), old)
        fresh = self._between(level, tail, last)
        return self._shapes(kept, ((bucket // buckets, part.ids, part.values[_REQUESTS]) for bucket, part in fresh))

    def _shapes(
        self, before: dict[Group, list[int]], parts: Iterable[tuple[int, Group, int]]
    ) -> dict[Group, list[int]]:
        steps = self._steps()
        found = {pair: list(shape) for pair, shape in before.items()}
        for step, pair, requests in parts:
            found.setdefault(pair, [0] * len(steps))[step - steps.start] += requests
        return found

    def _targets(self, pairs: Sums, names: Names) -> tuple[LiveTarget, ...]:
        first, last = self._minute - _RECENT_MINUTES + 1, self._minute + 1
        recent = self._sums("recent", Level.MINUTE, first, last, self._minute, ids=("target_id",))
        by_target: dict[int, list[list[int]]] = {}
        for (_, target, _), values in pairs.items():
            by_target.setdefault(target, []).append(values)
        found = [
            LiveTarget(_target(i, names), totals(summed(parts, _WIDTH)), totals(recent.get((i,), [0] * _WIDTH)))
            for i, parts in by_target.items()
        ]
        return tuple(sorted(found, key=lambda target: target.target))

    def _minutes(self, name: str, first: int, last: int) -> Totals:
        return _total(self._sums(name, Level.MINUTE, first, last, self._minute, histograms=False))

    def _today(self) -> Totals:
        """Whole quarters since midnight, as midnight is on one in every zone."""
        midnight = spans.midnight_ms(self._now, self._zone) // spans.QUARTER_MS
        last = self._now_ms // spans.QUARTER_MS + 1
        return _total(self._sums("today", Level.QUARTER, midnight, last, self._minute, histograms=False))


def _row_key(ids: Group, by: str, names: Names) -> tuple[str, str, bool]:
    """Group, model, and whether it was by a key for tests."""
    key_id, target_id, project_id = ids
    of = of_key(key_id, names)
    test = of["env"][0] == TEST
    if by in _WHOLE:
        return of_target(target_id, names)[by][0], "", test
    if by != "key":
        of = of_payer(key_id, project_id, names)
    return of[by][0], _model(target_id, names), test


def _model(target_id: int, names: Names) -> str:
    return of_target(target_id, names)["model"][0]


def _target(target_id: int, names: Names) -> str:
    return of_target(target_id, names)["target"][0]


def _total(sums: Sums) -> Totals:
    return totals(summed(sums.values(), _WIDTH))
