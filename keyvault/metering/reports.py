"""Reports of usage: sums from totals, never from rows; single requests from rows.

Sums are exact to the quarter of an hour at any age, and to the minute for the last eight days. Grouping by day and hour
follows the asked time zone exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.reports import LiveSnapshot, RequestDetail, RequestLine, UsageReport
from keyvault.errors import NotFound, UsageError
from keyvault.metering import spans
from keyvault.metering.entries import MINUTE_MS
from keyvault.metering.exporting import attempts, settled_behind
from keyvault.metering.lines import request_detail, request_lines
from keyvault.metering.live import Live
from keyvault.metering.pivots import Pivots
from keyvault.metering.recent import Recent
from keyvault.metering.summing import Filters, Stretch, check, usage_by
from keyvault.metering.writer import MINUTES_KEPT
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database

_TAIL_AT_ONCE: Final = 10_000
_MOST: Final = 10**9
_LAST: Final = 32_767
_ATTEMPT: Final = re.compile(r"(?P<request>[0-9A-Z]{26})(-(?P<number>[0-9]{1,4}))?")


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
        filters: Filters | None = None,
    ) -> UsageReport:
        """Usage of attempts that began from `since` up to `until`, grouped by any of DIMENSIONS.

        `filters`: only these values of a dimension (but for day and hour). Without one of `env`, and where it is not
        grouped by, keys for tests are left out, so that their money is never taken for any. Raises `UsageError`.
        """
        [report] = self.usages(since, until, (by,), tz, filters)
        return report

    def usages(
        self,
        since: datetime,
        until: datetime,
        groupings: Sequence[Sequence[str]],
        tz: str = "UTC",
        filters: Filters | None = None,
    ) -> list[UsageReport]:
        """The same usage grouped in several ways, all read at one instant, so that they add up to the same."""
        now_ms = self._clock.now_ms()
        kept_ms = (now_ms // MINUTE_MS - MINUTES_KEPT) * MINUTE_MS
        stretch = Stretch.of(to_ms(since), to_ms(until), now_ms, kept_ms, tz)
        for by in groupings:
            check(by, filters or {})
        with self._database.snapshot() as tx:
            names = rows.names(tx)
            return [usage_by(tx, names, stretch, by, filters or {}) for by in groupings]

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

    def follow(self, limit: int = 0, tags: Mapping[str, str] | None = None, env: str | None = None) -> Follow:
        """The newest `limit` requests, then each request as it ends; `tags`: of those that came with all of these;
        `env`: of those that came with a key of it.

        Raises `UsageError`.
        """
        _check_limit(limit)
        return Follow(self._database, self._clock, limit, tags, env)

    def pivots(self, tz: str) -> Pivots:
        """What turns usage about for a console, in the days of a time zone. Raises `UsageError`."""
        return Pivots(self._database, self._clock, tz)

    def recent(self) -> Recent:
        """What follows the newest requests for a console, and pages back through older ones."""
        return Recent(self._database, self._clock)

    def attempts(
        self, since: datetime | None, until: datetime, after: str | None = None
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Single attempts that began in a stretch of time, in pages of rows of `exporting.FIELDS`, in order of their
        ids. `after`: the id of an attempt, or of a request with all of its own, to go on behind. Raises `UsageError`.
        """
        place = None if after is None else _place(after)
        return attempts(self._database, None if since is None else to_ms(since), to_ms(until), place)

    def settled_behind(self) -> str:
        """The id of a request up to which every request has ended."""
        with self._database.read() as tx:
            return settled_behind(tx, self._clock)

    def request(self, request_id: str) -> RequestDetail:
        """One request with all its attempts, those still open included. Raises `NotFound`."""
        wanted = request_id.strip().upper()[:64]
        with self._database.read() as tx:
            settled, opened = rows.attempts_of(tx, [wanted]), rows.open_of(tx, wanted)
            if settled or opened:
                return request_detail(settled, opened, rows.names(tx))
        raise NotFound(f"no request {request_id[:40]!a} in the ledger", hint="gwctl usage tail")

    def cost(self, request_id: str) -> int | None:
        """What a request cost, all its attempts together, in pico-dollars: nothing where none was made, None where the
        cost of one is not known yet, or never will be."""
        with self._database.read() as tx:
            costs = rows.costs_of(tx, request_id)
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    def live(self, window: timedelta, by: str = "key", tz: str = "UTC") -> LiveSnapshot:
        """The live picture of the last `window`, rows by `by` (key, project, customer, model or target) × model."""
        return self._live.read(window, by, spans.zone_of(tz))

    def change(self) -> int:
        """A number that grows with every change of the ledger: equal numbers mean that nothing is new."""
        with self._database.read() as tx:
            return rows.change(tx)


class Follow:
    """Requests in the order in which they end, each once."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limit: int,
        tags: Mapping[str, str] | None = None,
        env: str | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._limit = limit
        self._tags = tags
        self._env = env
        self._seen: set[str] | None = None
        self._behind = ""

    def next(self) -> list[RequestLine]:
        """What has ended since the last call; at first the newest `limit` requests."""
        with self._database.read() as tx:
            behind = settled_behind(tx, self._clock)
            if self._seen is None:
                fresh = rows.last_finals(tx, self._limit, None, self._tags, self._env)
                ended = rows.last_finals(tx, None, behind, self._tags, self._env)
            else:
                ended = rows.last_finals(tx, None, self._behind, self._tags, self._env)
                fresh = [request_id for request_id in ended if request_id not in self._seen]
            lines = request_lines(rows.attempts_of(tx, fresh), rows.names(tx)) if fresh else []
        self._behind = max(behind, self._behind)
        self._seen = {request_id for request_id in ended if request_id > self._behind}
        return lines


def _place(text: str) -> tuple[str, int]:
    """`01K…-2`, or without the number: behind all attempts of the request."""
    matched = _ATTEMPT.fullmatch(text.strip().upper())
    if not matched:
        raise UsageError(f"not the id of an attempt: {text[:40]!a}", hint="the id of a row that an export wrote")
    return matched["request"], int(matched["number"] or _LAST)


def _check_limit(limit: int) -> None:
    if not 0 <= limit <= _MOST:
        raise UsageError(f"the number of requests must be from 0 to {_MOST}")
