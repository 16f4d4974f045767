"""Usage of a stretch of time, summed by any dimensions: exact to the quarter of an hour in every zone, from totals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from itertools import product
from typing import Final

from keyvault.clock import from_ms
from keyvault.domain.reports import DIMENSIONS, UsageReport, UsageRow
from keyvault.errors import UsageError
from keyvault.metering import spans
from keyvault.metering.filtering import Filter
from keyvault.metering.groups import COLUMNS, collect, summed, totals, values_of
from keyvault.storage import reports as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import COUNTS, Names, Sum

Filters = Mapping[str, str | Iterable[str]]

_OF_TIME: Final = {"day": 1440, "hour": 60}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Buckets to read, in milliseconds that lie on their edges."""

    first: int
    last: int
    read_to: int
    """`last`, or the end of its day where nothing can be later, so that it is read as a whole one."""
    tz: str
    zone: tzinfo

    @classmethod
    def of(cls, since_ms: int, until_ms: int, now_ms: int, kept_ms: int, tz: str) -> Stretch:
        """`kept_ms`: since when there are totals per minute. Raises `UsageError` for a zone that does not exist."""
        first = spans.snap(since_ms, kept_ms)
        last = max(first, spans.snap(until_ms, kept_ms, up=True))
        return cls(first, last, spans.snap_to_day(last) if last > now_ms else last, tz, spans.zone_of(tz))


def check(by: Sequence[str], filters: Filters) -> None:
    """Raises `UsageError` for a dimension that usage does not have, or that cannot be filtered."""
    for name in (*by, *filters):
        if name not in DIMENSIONS or (name in filters and name in _OF_TIME):
            raise UsageError(f"usage has no dimension {name[:40]!a}", hint=f"any of {','.join(DIMENSIONS)}")


def usage_by(tx: Transaction, names: Names, stretch: Stretch, by: Sequence[str], filters: Filters) -> UsageReport:
    """One report; see `Reports.usage`."""
    only = Filter.of(names, by, filters)
    groups: dict[tuple[str, ...], list[int]] = {}
    every: list[list[int]] = []
    left_out: list[list[int]] = []
    for told, values in _grouped(tx, stretch, by, only, names):
        if not only.passes(told):
            continue
        if not only.is_of_env(told):
            left_out.append(values)
            continue
        for label in product(*(told[name] for name in by)):
            collect(groups, label, values)
        every.append(values)
    found = [UsageRow(group, totals(values)) for group, values in groups.items()]
    found.sort(key=_order(by))
    width = len(COUNTS)
    return UsageReport(
        by=tuple(by),
        since=from_ms(stretch.first),
        until=from_ms(stretch.last),
        tz=stretch.tz,
        rows=tuple(found),
        total=totals(summed(every, width)),
        envs=only.envs,
        left_out=totals(summed(left_out, width)) if left_out else None,
    )


def _grouped(
    tx: Transaction, stretch: Stretch, by: Sequence[str], only: Filter, names: Names
) -> Iterator[tuple[dict[str, Sequence[str]], list[int]]]:
    """Each sum with what it says of the dimensions: several values only of tags."""
    if not all(only.where.values()):
        return
    first, last = stretch.first, stretch.read_to
    ids = [name for name, of in COLUMNS.items() if set(of) & {*by, *only.checked}]
    minutes = min((_OF_TIME[name] for name in by if name in _OF_TIME), default=None)
    for start, end, offset in spans.parts(first, last, stretch.zone) if minutes else [(first, last, timedelta(0))]:
        for span in spans.spans(start, end, days=minutes is None or (minutes == 1440 and not offset)):
            cut = None if minutes is None else spans.slices(span.level, minutes, offset)
            for found in rows.sums(tx, span.level, span.first, span.last, ids, slices=cut, where=only.where):
                told = values_of(dict(zip(ids, found.ids, strict=True)), names)
                yield told | _of_time(found, minutes, offset), found.values


def _of_time(found: Sum, minutes: int | None, offset: timedelta) -> dict[str, Sequence[str]]:
    if minutes is None or found.slice is None:
        return {}
    return {
        "day": [spans.day_label(found.slice * minutes // 1440)],
        "hour": [spans.hour_label(found.slice, offset)] if minutes == 60 else [],
    }


def _order(by: Sequence[str]) -> Callable[[UsageRow], tuple[object, ...]]:
    times = [at for at, name in enumerate(by) if name in _OF_TIME]

    def key(row: UsageRow) -> tuple[object, ...]:
        sums = row.totals
        return (*(row.group[at] for at in times), -sums.known_cost_pico, -sums.requests, row.group)

    return key
