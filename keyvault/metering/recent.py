"""The newest requests as they end, and older ones page by page: what a console shows, at a cost that does not grow.

A reading looks at what began within the last minute and at what was open for longer, never at the whole ledger, and
takes in only what has ended since the reading before. Requests are in the order in which they ended. Where only some
requests are looked for, the totals tell in which stretches of time there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from keyvault.clock import CROCKFORD, Clock, to_ms, ulid_at
from keyvault.domain.narrowing import Narrowing
from keyvault.domain.reports import RequestLine
from keyvault.metering.entries import MINUTES_PER_DAY, MINUTES_PER_QUARTER
from keyvault.metering.exporting import UPLOAD_MS
from keyvault.metering.groups import of_target
from keyvault.metering.known_names import KnownNames
from keyvault.metering.lines import request_lines
from keyvault.metering.spans import DAY_MS, QUARTER_MS
from keyvault.storage import reports as rows
from keyvault.storage import requests as found
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import Level, Names
from keyvault.storage.requests import Only

KEPT: Final = 2_000
"""How many of the newest requests are remembered."""
AT_ONCE: Final = 300
"""How many one reading takes in; of more that ended since the last one, the last to do so."""
LATE_MS: Final = 10_000
"""How long after its end a request may come on record: its writer may have to wait for another one."""
FORGOTTEN_MS: Final = 60_000
"""After so long without a reading it is quicker to begin anew."""
_LAST_ATTEMPT_MS: Final = QUARTER_MS
"""How long after its request began the last attempt may begin, for it to be found by totals."""
_DAYS: Final = 31
_SMALL_DAY: Final = 40_000
"""A day of no more requests is looked through as a whole."""
_LOOKED_AT: Final = 120_000
"""How many requests one page may look through; then it says how far it came."""


@dataclass(frozen=True, slots=True)
class Page:
    """Requests, the last to end first; `reached`: the id before which the next page begins, None at the beginning."""

    lines: tuple[RequestLine, ...]
    reached: str | None


class Recent:
    """Follows the requests of one narrowing after the other; one thread at a time."""

    def __init__(self, database: Database, clock: Clock, most: int = KEPT, at_once: int = AT_ONCE) -> None:
        """`most`: how many are remembered; `at_once`: how many a reading takes in."""
        self._database = database
        self._clock = clock
        self._most = most
        self._at_once = at_once
        self._names = KnownNames()
        self._asked: tuple[Narrowing, int] | None = None
        self._read_ms = 0
        self._kept: dict[str, RequestLine] = {}
        self._older: str | None = None
        self._floor_ms = 0
        """What ended before is not wanted any more."""
        self._open: set[str] = set()
        """Requests that were open at the last reading and had begun before what the next one looks at."""

    def read(self, narrowing: Narrowing, limit: int) -> Page:
        """At first the newest `limit` requests that ended, then those and all that ended since, at most KEPT."""
        now_ms = self._clock.now_ms()
        with self._database.snapshot() as tx:
            begins_anew = self._asked != (narrowing, limit) or not 0 <= now_ms - self._read_ms < FORGOTTEN_MS
            if begins_anew:
                self._asked = (narrowing, limit)
                page = self._page(tx, narrowing, None, limit)
                self._floor_ms = 0
                self._kept, self._older = {line.request_id: line for line in page.lines}, page.reached
            self._take_in(tx, narrowing, now_ms if begins_anew else self._read_ms)
            self._open = set(found.still_open(tx, ulid_at(now_ms - UPLOAD_MS)))
            self._read_ms = now_ms
        return Page(tuple(self._kept.values()), self._older)

    def page(self, narrowing: Narrowing, before: str | None, limit: int) -> Page:
        """A page of those that began before an id."""
        with self._database.snapshot() as tx:
            return self._page(tx, narrowing, before, limit)

    def _take_in(self, tx: Transaction, narrowing: Narrowing, since_ms: int) -> None:
        """Add what has ended since, drop what is too much."""
        only = only_of(narrowing, self._names.read(tx))
        if only is None:
            return
        after = max(ulid_at(since_ms - UPLOAD_MS), _id_at(narrowing.since) or "")
        since = max(since_ms - LATE_MS, self._floor_ms)
        fresh = found.ended(tx, only, after=after, since_ms=since, limit=self._most)
        if self._open:
            at_their_end = sorted(self._open - set(found.still_open(tx, after)))
            fresh += found.among(tx, only, [each for each in at_their_end if each > (_id_at(narrowing.since) or "")])
        new = [each for each in fresh if each not in self._kept]
        self._remember(self._lines(tx, new[: self._at_once]), forgets=len(new) > self._at_once)

    def _remember(self, lines: Sequence[RequestLine], *, forgets: bool) -> None:
        """Add these, the last to have ended; `forgets`: more ended than could be read, so what was before is not
        next to them any more."""
        if not lines:
            return
        newest = _by_end([*lines, *(() if forgets else self._kept.values())])
        kept = newest[: self._most]
        if forgets or len(newest) > len(kept):
            self._floor_ms = to_ms(kept[-1].ended_at)
            self._older = ulid_at(self._floor_ms + 1)
        self._kept = {line.request_id: line for line in kept}

    def _page(self, tx: Transaction, narrowing: Narrowing, before: str | None, limit: int) -> Page:
        only = only_of(narrowing, self._names.read(tx))
        if only is None:
            return Page((), None)
        until, since = _id_at(narrowing.until), _id_at(narrowing.since)
        end = min((each for each in (before, until) if each is not None), default=None)
        ids, reached = _newest(tx, only, self._clock.now_ms(), since, end, limit)
        return Page(tuple(_by_end(self._lines(tx, ids))), reached)

    def _lines(self, tx: Transaction, ids: Sequence[str]) -> list[RequestLine]:
        attempts = rows.attempts_of(tx, sorted(ids)) if ids else []
        return request_lines(attempts, self._names.of(tx, attempts)) if attempts else []


def only_of(narrowing: Narrowing, names: Names) -> Only | None:
    """The ids that a narrowing means; None where it names something that there is not, so that nothing can fit."""
    wanted = {dimension: value.casefold() for dimension, value in narrowing.names.items()}
    sets: dict[str, frozenset[int] | None] = {"keys": None, "payers": None, "targets": None}
    if "key" in wanted:
        sets["keys"] = frozenset(i for i, key in names.keys.items() if key.key.casefold() == wanted["key"])
    if "customer" in wanted or "project" in wanted:
        sets["payers"] = frozenset(
            number
            for number, payer in names.projects.items()
            if payer.customer.casefold() == wanted.get("customer", payer.customer.casefold())
            and f"{payer.customer}/{payer.project}".casefold()
            == wanted.get("project", f"{payer.customer}/{payer.project}".casefold())
        )
    if "model" in wanted or "target" in wanted:
        of = {number: of_target(number, names) for number in names.targets}
        sets["targets"] = frozenset(
            number
            for number, told in of.items()
            if all(told[name][0].casefold() == wanted[name] for name in ("model", "target") if name in wanted)
        )
    if any(each is not None and not each for each in sets.values()):
        return None
    return Only(**sets, failed=narrowing.failed)


def _newest(
    tx: Transaction, only: Only, now_ms: int, since: str | None, before: str | None, limit: int
) -> tuple[list[str], str | None]:
    """Ids, the newest first, and the id before which there may be more."""
    if only.any:
        ids = found.newest(tx, only, after=since, before=before, limit=limit + 1)
        return ids[:limit], ids[limit - 1] if len(ids) > limit else None
    ids = []
    looked_at = 0
    for first, end, many in _stretches(tx, only, now_ms, since, before):
        looked_at += many
        before = end if before is None else min(before, end)
        ids += found.newest(tx, only, after=max(first, since or ""), before=before, limit=limit - len(ids))
        before = first
        if len(ids) >= limit:
            return ids, ids[-1]
        if looked_at > _LOOKED_AT:
            return ids, first
    return ids, None


def _stretches(
    tx: Transaction, only: Only, now_ms: int, since: str | None, before: str | None
) -> Iterator[tuple[str, str, int]]:
    """Where there are such requests, the newest first: between which ids, and how many there may be of any kind."""
    first = found.first_day(tx)
    if first is None:
        return
    last = (now_ms if before is None else _ms_of(before) + _LAST_ATTEMPT_MS) // DAY_MS
    first = max(first, 0 if since is None else _ms_of(since) // DAY_MS)
    for top in range(last, first - 1, -_DAYS):
        days = list(range(top, max(first, top - _DAYS + 1) - 1, -1))
        every = found.counts(tx, Only(), Level.DAY, days)
        for day in found.counts(tx, only, Level.DAY, days):
            if every[day] <= _SMALL_DAY:
                yield _id_before(day * DAY_MS), ulid_at((day + 1) * DAY_MS), every[day]
                continue
            per_day = MINUTES_PER_DAY // MINUTES_PER_QUARTER
            quarters = list(range(day * per_day, (day + 1) * per_day))
            for quarter in found.counts(tx, only, Level.QUARTER, quarters):
                yield _id_before(quarter * QUARTER_MS), ulid_at((quarter + 1) * QUARTER_MS), every[day] // per_day


def _id_before(ms: int) -> str:
    """No request whose last attempt began at this time or later has an id before this one."""
    return ulid_at(max(0, ms - _LAST_ATTEMPT_MS))


def _ms_of(request_id: str) -> int:
    """The time in an id."""
    ms = 0
    for letter in request_id[:10]:
        ms = ms * 32 + CROCKFORD.index(letter)
    return ms


def _id_at(moment: datetime | None) -> str | None:
    return None if moment is None else ulid_at(to_ms(moment))


def _by_end(lines: Iterable[RequestLine]) -> list[RequestLine]:
    return sorted(lines, key=attrgetter("ended_at", "request_id"), reverse=True)
