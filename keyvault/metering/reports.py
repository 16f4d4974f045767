"""Reports of usage: sums from totals, never from rows; single requests from rows.

Sums are exact to the quarter of an hour at any age, and to the minute for the last eight days. Grouping by day and hour
follows the asked time zone exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import product
from typing import Final

from keyvault.clock import Clock, from_ms, to_ms, ulid_at
from keyvault.domain.reports import DIMENSIONS, LiveSnapshot, RequestDetail, RequestLine, UsageReport, UsageRow
from keyvault.errors import NotFound, UsageError
from keyvault.metering import spans
from keyvault.metering.entries import MINUTE_MS
from keyvault.metering.filtering import Filter
from keyvault.metering.groups import COLUMNS, collect, summed, totals, values_of
from keyvault.metering.lines import request_detail, request_lines
from keyvault.metering.live import Live
from keyvault.metering.writer import MINUTES_KEPT
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import COUNTS, Names, Sum

_OF_TIME: Final = {"day": 1440, "hour": 60}
_TAIL_AT_ONCE: Final = 10_000
_MOST: Final = 10**9
UPLOAD_MS: Final = 60_000


class Reports:
    """Reads the ledger. Threads may share it, but for `live`, which remembers and belongs to one thread."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._live = Live(database, clock)

    def usage(
        self,
        since: datetime,
        until: datetime,
        by: Sequence[str] = (),
        tz: str = "UTC",
        filters: Mapping[str, str | Iterable[str]] | None = None,
    ) -> UsageReport:
        """Usage of attempts that began from `since` up to `until`, grouped by any of DIMENSIONS.

        `filters`: only these values of a dimension (but for day and hour). Without one of `env`, and where it is not
        grouped by, keys for tests are left out, so that their money is never taken for any. Raises `UsageError`.
        """
        zone = spans.zone_of(tz)
        _check(by, filters or {})
        now_ms = self._clock.now_ms()
        kept_ms = (now_ms // MINUTE_MS - MINUTES_KEPT) * MINUTE_MS
        first = spans.snap(to_ms(since), kept_ms)
        last = max(first, spans.snap(to_ms(until), kept_ms, up=True))
        # Nothing is later than now, so the present day can be read as a whole one.
        end = spans.snap_to_day(last) if last > now_ms else last
        with self._database.read() as tx:
            names = rows.names(tx)
            only = Filter.of(names, by, filters or {})
            groups: dict[tuple[str, ...], list[int]] = {}
            every: list[list[int]] = []
            left_out: list[list[int]] = []
            for told, values in _grouped(tx, first, end, by, zone, only, names):
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
            since=from_ms(first),
            until=from_ms(last),
            tz=tz,
            rows=tuple(found),
            total=totals(summed(every, width)),
            envs=only.envs,
            left_out=totals(summed(left_out, width)) if left_out else None,
        )

    def tail(self, limit: int, after: str | None = None) -> list[RequestLine]:
        """The newest requests that have ended, oldest first; with `after`, the first ones that began after that one.

        Raises `UsageError`.
        """
        _check_limit(limit)
        lines: list[RequestLine] = []
        with self._database.read() as tx:
            names = rows.names(tx)
            ids = rows.last_finals(tx, limit, after)
            for at in range(0, len(ids), _TAIL_AT_ONCE):
                lines += request_lines(rows.attempts_of(tx, ids[at : at + _TAIL_AT_ONCE]), names)
        return lines

    def follow(self, limit: int = 0, tags: Mapping[str, str] | None = None) -> Follow:
        """The newest `limit` requests, then each request as it ends; `tags`: of those that came with all of these.

        Raises `UsageError`.
        """
        _check_limit(limit)
        return Follow(self._database, self._clock, limit, tags)

    def request(self, request_id: str) -> RequestDetail:
        """One request with all its attempts, those still open included. Raises `NotFound`."""
        wanted = request_id.strip().upper()[:64]
        with self._database.read() as tx:
            settled, opened = rows.attempts_of(tx, [wanted]), rows.open_of(tx, wanted)
            if settled or opened:
                return request_detail(settled, opened, rows.names(tx))
        raise NotFound(f"no request {request_id[:40]!a} in the ledger", hint="gwctl usage tail")

    def live(self, window: timedelta, by: str = "key", tz: str = "UTC") -> LiveSnapshot:
        """The live picture of the last `window`, rows by `by` (key, project, customer, model or target) × model."""
        return self._live.read(window, by, spans.zone_of(tz))

    def change(self) -> int:
        """A number that grows with every change of the ledger: equal numbers mean that nothing is new."""
        with self._database.read() as tx:
            return rows.change(tx)


class Follow:
    """Requests in the order in which they end, each once."""

    def __init__(self, database: Database, clock: Clock, limit: int, tags: Mapping[str, str] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._tags = tags
        self._seen: set[str] | None = None
        self._behind = ""

    def next(self) -> list[RequestLine]:
        """What has ended since the last call; at first the newest `limit` requests."""
        with self._database.read() as tx:
            behind = self._settled(tx)
            if self._seen is None:
                fresh = rows.last_finals(tx, self._limit, tags=self._tags)
                ended = rows.last_finals(tx, None, behind, self._tags)
            else:
                ended = rows.last_finals(tx, None, self._behind, self._tags)
                fresh = [request_id for request_id in ended if request_id not in self._seen]
            lines = request_lines(rows.attempts_of(tx, fresh), rows.names(tx)) if fresh else []
        self._behind = max(behind, self._behind)
        self._seen = {request_id for request_id in ended if request_id > self._behind}
        return lines

    def _settled(self, tx: Transaction) -> str:
        """The id behind which requests may still end: of the oldest open one, or one that began a minute ago.

        A request is open some time after it got its id, when its body has come; hence the minute.
        """
        lately, oldest_open = ulid_at(self._clock.now_ms() - UPLOAD_MS), rows.oldest_open(tx)
        return lately if oldest_open is None else min(lately, oldest_open[:-1])  # cut, it comes before the whole


def _check_limit(limit: int) -> None:
    if not 0 <= limit <= _MOST:
        raise UsageError(f"the number of requests must be from 0 to {_MOST}")


def _check(by: Sequence[str], filters: Mapping[str, object]) -> None:
    for name in (*by, *filters):
        if name not in DIMENSIONS or (name in filters and name in _OF_TIME):
            raise UsageError(f"usage has no dimension {name[:40]!a}", hint=f"any of {','.join(DIMENSIONS)}")


def _grouped(
    tx: Transaction, first: int, last: int, by: Sequence[str], zone: tzinfo, only: Filter, names: Names
) -> Iterator[tuple[dict[str, Sequence[str]], list[int]]]:
    """Each sum with what it says of the dimensions: several values only of tags."""
    if not all(only.where.values()):
        return
    ids = [name for name, of in COLUMNS.items() if set(of) & {*by, *only.checked}]
    minutes = min((_OF_TIME[name] for name in by if name in _OF_TIME), default=None)
    for start, end, offset in spans.parts(first, last, zone) if minutes else [(first, last, timedelta(0))]:
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
