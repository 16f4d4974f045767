"""Which totals to read for a stretch of time, and how to cut them into the days and hours of a time zone.

Whole UTC days are read from the totals per day, what is left from quarters, and the edges from minutes as long as
minutes are kept. Every offset from UTC in use is a whole number of quarters, so any zone's days and hours are exact:
the stretch is parted where the offset changes, and within a part the offset is one number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keyvault.clock import EPOCH, from_ms
from keyvault.errors import UsageError
from keyvault.metering.entries import MINUTE_MS, MINUTES_PER_DAY, MINUTES_PER_QUARTER
from keyvault.storage.reports import Level, Slices

QUARTER_MS: Final = MINUTE_MS * MINUTES_PER_QUARTER
DAY_MS: Final = MINUTE_MS * MINUTES_PER_DAY


@dataclass(frozen=True, slots=True)
class Span:
    """Buckets of one level, from `first` up to, but without, `last`."""

    level: Level
    first: int
    last: int


def zone_of(tz: str) -> tzinfo:
    """The time zone of a name such as `Europe/Berlin`. Raises `UsageError`."""
    if tz.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"no such time zone: {tz[:40]!a}", hint="a name such as Europe/Berlin") from None


def snap(ms: int, minutes_from_ms: int, *, up: bool = False) -> int:
    """A moment on the edge of the finest bucket there is: a minute since `minutes_from_ms`, before that a quarter."""
    step = MINUTE_MS if ms >= minutes_from_ms else QUARTER_MS
    return -(-ms // step) * step if up else ms // step * step


def snap_to_day(ms: int) -> int:
    """The end of a moment's UTC day."""
    return -(-ms // DAY_MS) * DAY_MS


def spans(since_ms: int, until_ms: int, *, days: bool = True) -> Iterator[Span]:
    """The fewest buckets that make up a stretch whose ends are on minutes; `days`: totals per day may be used."""
    levels = (Level.DAY, Level.QUARTER, Level.MINUTE) if days else (Level.QUARTER, Level.MINUTE)
    yield from _spans(since_ms // MINUTE_MS, until_ms // MINUTE_MS, levels)


def _spans(first: int, last: int, levels: tuple[Level, ...]) -> Iterator[Span]:
    """For minutes `first` to `last`: the middle in the coarsest level, both ends in the finer ones."""
    if first >= last:
        return
    level, *finer = levels
    low, high = -(-first // level.value), last // level.value
    if low >= high:
        yield from _spans(first, last, tuple(finer))
        return
    yield from _spans(first, low * level.value, tuple(finer))
    yield Span(level, low, high)
    yield from _spans(high * level.value, last, tuple(finer))


def parts(since_ms: int, until_ms: int, zone: tzinfo) -> Iterator[tuple[int, int, timedelta]]:
    """The stretch, parted where the zone's offset from UTC changes."""
    start = since_ms
    while start < until_ms:
        offset = _offset(start, zone)
        end = min(start + DAY_MS, until_ms)
        while end < until_ms and _offset(end, zone) == offset:
            end = min(end + DAY_MS, until_ms)
        if _offset(end - 1, zone) != offset:
            end = _turn(max(start, end - DAY_MS), end, zone)
        yield start, end, offset
        start = end


def _turn(low: int, high: int, zone: tzinfo) -> int:
    """The quarter in which the offset changes between two moments, by halving."""
    low, high = low // QUARTER_MS, -(-high // QUARTER_MS)
    before = _offset(low * QUARTER_MS, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(middle * QUARTER_MS, zone) == before:
            low = middle
        else:
            high = middle
    return high * QUARTER_MS


def _offset(ms: int, zone: tzinfo) -> timedelta:
    return from_ms(ms).astimezone(zone).utcoffset() or timedelta(0)


def slices(level: Level, minutes: int, offset: timedelta) -> Slices:
    """Cuts a level's buckets into a zone's hours (60 minutes) or days (1440)."""
    return Slices(minutes // level.value, int(offset.total_seconds()) // 60 // level.value)


def day_label(number: int) -> str:
    """`2026-10-01` of a local day's number."""
    return (date(1970, 1, 1) + timedelta(days=number)).isoformat()


def hour_label(number: int, offset: timedelta) -> str:
    """`2026-10-01T12:00+02:00` of a local hour's number; `Z` in UTC."""
    local = (EPOCH + timedelta(hours=number)).replace(tzinfo=timezone(offset) if offset else UTC)
    return local.isoformat(timespec="minutes").replace("+00:00", "Z")


def midnight_ms(now: datetime, zone: tzinfo) -> int:
    """When the zone's present day began."""
    local = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return (local.astimezone(UTC) - EPOCH) // timedelta(milliseconds=1)
