"""The steps of a stretch of time in a zone: hours, or whole local days however long they are.

A local day is a UTC day with a little more at one end and less at the other. So it is read from the totals per day and
from the quarters of its two edges, which is exact in every zone and a tenth of what reading all quarters would be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from keyvault.clock import EPOCH, to_ms
from keyvault.domain.pivot import Stretch
from keyvault.errors import UsageError
from keyvault.metering.spans import DAY_MS, QUARTER_MS, Span, day_label
from keyvault.storage.reports import Level

HOUR_MS: Final = 3_600_000
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Part:
    """Totals to be added, or, of an edge that belongs to the neighbour, to be taken away."""

    span: Span
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps from `first` up to, but without, `last`: the zone's hours or days, counted since the epoch's."""

    zone: tzinfo
    days: bool
    first: int
    last: int
    ends: datetime | None = None
    """When the present month does, where it is looked at."""
    shift: int = 0
    """How many quarters before UTC's the zone's hours begin."""

    @property
    def lasts(self) -> timedelta:
        return timedelta(days=1) if self.days else timedelta(hours=1)

    def starts(self, step: int) -> datetime:
        """When a step begins."""
        return midnight(step, self.zone) if self.days else EPOCH + timedelta(hours=step, minutes=-15 * self.shift)

    def label(self, step: int) -> str:
        """The local day a step is in."""
        return day_label(step) if self.days else self.starts(step).astimezone(self.zone).date().isoformat()

    def parts(self, step: int) -> Iterator[Part]:
        """What a step's sums are made of."""
        if not self.days:
            first = step * HOUR_MS // QUARTER_MS - self.shift
            yield Part(Span(Level.QUARTER, first, first + HOUR_MS // QUARTER_MS))
            return
        yield Part(Span(Level.DAY, step, step + 1))
        yield from self._edge(step, 1)
        yield from self._edge(step + 1, -1)

    def _edge(self, day: int, sign: int) -> Iterator[Part]:
        """What lies between a local midnight and the UTC one of the same day; `sign`: of what comes first."""
        utc, local = day * DAY_MS // QUARTER_MS, to_ms(midnight(day, self.zone)) // QUARTER_MS
        if local < utc:
            yield Part(Span(Level.QUARTER, local, utc), sign)
        elif local > utc:
            yield Part(Span(Level.QUARTER, utc, local), -sign)


def steps_of(stretch: Stretch, day: str, zone: tzinfo, now: datetime) -> Steps:
    """The steps of a stretch that ends now, or of one day. Raises `UsageError`."""
    if day:
        begins, ends_at = midnight(day_number(day), zone), midnight(day_number(day) + 1, zone)
        shift = _shift(begins, zone)
        return Steps(zone, False, _hour(begins, shift), _hour(ends_at, shift), shift=shift)
    if stretch is Stretch.HOURS:
        shift = _shift(now, zone)
        last = _hour(now, shift) + 1
        return Steps(zone, False, last - 24, last, shift=shift)
    today = now.astimezone(zone).date()
    month = today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    firsts = {
        Stretch.WEEK: today - timedelta(days=6),
        Stretch.DAYS: today - timedelta(days=29),
        Stretch.MONTH: month,
        Stretch.LAST_MONTH: before,
    }
    end = month if stretch is Stretch.LAST_MONTH else today + timedelta(days=1)
    ends = None
    if stretch is Stretch.MONTH:
        ends = midnight(_number((month + timedelta(days=32)).replace(day=1)), zone)
    return Steps(zone, True, _number(firsts[stretch]), _number(end), ends)


def day_number(day: str) -> int:
    try:
        return _number(date.fromisoformat(day))
    except ValueError:
        raise UsageError(f"not a day: {day[:20]!a}", hint="write it like 2026-10-01") from None


def midnight(day: int, zone: tzinfo) -> datetime:
    """When a local day begins."""
    at = _EPOCH + timedelta(days=day)
    return datetime(at.year, at.month, at.day, tzinfo=zone).astimezone(UTC)


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _hour(moment: datetime, shift: int) -> int:
    return (to_ms(moment) + shift * QUARTER_MS) // HOUR_MS


def _shift(moment: datetime, zone: tzinfo) -> int:
    """Quarters of an hour that the zone's offset has beyond whole hours."""
    offset = moment.astimezone(zone).utcoffset() or timedelta(0)
    return int(offset.total_seconds()) // 900 % 4
