"""The ledger: every attempt on record before it leaves, every settlement durable before its answer ends.

One thread writes; whatever waits when it is free goes into one transaction, totals included. A future is done when its
entry is durable, and fails with `Unavailable` when the database did not take it.

- An attempt settles once: only the settlement that makes its row counts in the totals, a later one changes nothing.
- While the database is down, new attempts fail at once after the writer has tried; settlements of attempts that had
  left are owed, and are written, once, when it is back. What a crash leaves open is closed as lost at the next start.
- A request that goes on to another target keeps its place among the open attempts until the next attempt is open, so
  that a crash between the two still counts the request, once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple

from keyvault.clock import Clock
from keyvault.domain.ledger import OpenAttempt, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering import recovery
from keyvault.metering.entries import MINUTE_MS, Sums, bounded, open_row, settled_row
from keyvault.metering.interning import OTHER, Interned, clean
from keyvault.storage.engine import Database
from keyvault.storage.ledger import BadEntry, LedgerStore, known_names

log = logging.getLogger(__name__)

MINUTES_KEPT: Final = 8 * 24 * 60
"""How long totals per minute are kept."""
MAX_BATCH: Final = 256
IDLE_SECONDS: Final = 0.5
"""How often an idle writer looks whether something is owed or the house is to be kept."""
HOUSEKEEPING_SECONDS: Final = 60.0
_PRUNED_AT_ONCE: Final = 10
"""Minutes; so that no attempt waits long for it."""

_Attempt = tuple[str, int]
"""Request id and number."""


class Entry(NamedTuple):
    """What waits for the writer: an attempt to open, to settle, or (neither) a place in the queue to reach."""

    future: asyncio.Future[None] | None
    attempt: OpenAttempt | None = None
    settlement: Settlement | None = None
    follows: _Attempt | None = None
    """The attempt of the same request that this one comes after."""


_STOP: Final = Entry(None)


class _Known(Exception):
    """Some attempt of a batch is settled already."""


class Ledger:
    """Writes attempts. `open`, `settle` and the ids are for the event loop's thread; `stop` may block."""

    def __init__(self, database: Database, clock: Clock, worker_id: str) -> None:
        """Raises `Unavailable` where the database cannot be read."""
        self._database = database
        self._clock = clock
        self._worker = worker_id
        self._store = LedgerStore(database)
        self._entries: deque[Entry] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._rung = False
        self._names: SimpleQueue[tuple[str | Target, int]] = SimpleQueue()
        self._open: dict[_Attempt, OpenAttempt] = {}
        named, pairs = known_names(database)
        self._aliases = Interned(named, OTHER, lambda name, number: self._names.put((name, number)))
        self._targets = Interned(pairs, (OTHER, OTHER), lambda pair, number: self._names.put((Target(*pair), number)))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._owed: list[Entry] = []
        self._withdrawn: list[_Attempt] = []
        self._unwritten: list[tuple[str | Target, int]] = []
        self._house_kept = clock.monotonic()
        self._ended = False
        self.healthy = True
        """Whether the last transaction was committed."""

    @property
    def depth(self) -> int:
        """Entries waiting for the writer, those owed from a failure included."""
        return len(self._entries) + len(self._owed)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer; its futures belong to `loop`."""
        self._loop = loop
        self._thread.start()

    def alias_id(self, name: str) -> int:
        return self._aliases.id_of(clean(name))

    def target_id(self, target: Target) -> int:
        return self._targets.id_of((target.upstream, clean(target.model)))

    def open(self, attempt: OpenAttempt) -> asyncio.Future[None]:
        """Put an attempt on record; it may leave when the future is done, and must not if it fails."""
        follows = None
        if attempt.number > 1 and (attempt.request_id, attempt.number - 1) not in self._open:
            follows = (attempt.request_id, attempt.number - 1)
        self._open[attempt.request_id, attempt.number] = attempt
        return self._put(attempt, None, follows)

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Close an open attempt; the first settlement counts. Done when durable, whoever settled it."""
        attempt = self._open.pop((settlement.request_id, settlement.number), None)
        return self._put(attempt, bounded(settlement) if attempt else None)

    def recover(self) -> int:
        """Close what dead processes left open as lost; how many attempts. To be called before `start`."""
        try:
            return recovery.close_orphans(self._store, self._clock.now_ms(), "")
        finally:
            self._store.close()

    def stop(self) -> None:
        """Write what waits, then end the writer. What the database still refuses is left to recovery."""
        if self._thread.is_alive():
            self._entries.append(_STOP)
            self._bell.put(None)
            self._thread.join()

    def _put(
        self, attempt: OpenAttempt | None, settlement: Settlement | None, follows: _Attempt | None = None
    ) -> asyncio.Future[None]:
        assert self._loop is not None, "the ledger was not started"
        future = self._loop.create_future()
        if self._ended:
            future.set_exception(Unavailable("the ledger has stopped"))
            return future
        self._entries.append(Entry(future, attempt, settlement, follows))
        if not self._rung:
            self._rung = True
            self._loop.call_soon(self._ring)
        return future

    def _ring(self) -> None:
        """Wake the writer, once for all that this turn of the loop has put: waking it costs more than an entry."""
        self._rung = False
        self._bell.put(None)

    # From here on, the writer's thread.

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        finally:  # however it ends, nobody is left waiting
            self.healthy, self._ended = False, True
            self._answer(self._waiting(), Unavailable("the ledger has stopped"))
            if self._owed:
                log.error("settlements not written, to be closed as lost at the next start: %d", len(self._owed))
            self._store.close()

    def _write_until_stopped(self) -> None:
        while True:
            batch = self._next_batch()
            stop = bool(batch) and batch[-1] is _STOP
            if stop:
                batch.pop()
            if batch or self._owed or self._withdrawn:
                self._commit(batch)
            if stop:
                return
            self._keep_house()

    def _next_batch(self) -> list[Entry]:
        """Everything that waits; empty when nothing came for a while, or another turn has taken it."""
        if not self._entries:
            try:
                self._bell.get(timeout=IDLE_SECONDS)
            except Empty:
                return []
        return self._waiting(MAX_BATCH)

    def _waiting(self, at_most: int = sys.maxsize) -> list[Entry]:
        """What waits now, up to the word to stop, without waiting for more."""
        batch: list[Entry] = []
        while self._entries and len(batch) < at_most and (not batch or batch[-1] is not _STOP):
            batch.append(self._entries.popleft())
        return batch

    def _commit(self, batch: list[Entry]) -> None:
        """Write a batch and answer its futures. Never raises what concerns only the entries."""
        while not self._names.empty():
            self._unwritten.append(self._names.get())
        try:
            self._write(self._owed + batch)
        except Unavailable as error:
            self._fail(batch, error)
        except (BadEntry, _Known):
            entries, self._owed = self._owed + batch, []
            self._commit_each(entries)
        else:
            self._settled_down()
            self._answer(batch)

    def _commit_each(self, entries: list[Entry]) -> None:
        """The slow way, where one of the entries is wrong or settled already: a transaction for each."""
        for at, entry in enumerate(entries):
            try:
                self._write([entry])
            except Unavailable as error:
                self._fail(entries[at:], error)
                return
            except BadEntry as error:
                log.error("an entry was refused: %s", error.message)
                self._answer([entry], error)
            else:
                self._settled_down()
                self._answer([entry])

    def _write(self, entries: Sequence[Entry]) -> None:
        """One transaction. Raises `_Known` where one of several attempts is settled already."""
        opened: list[Any] = []
        settled: list[Any] = []
        gone: list[Any] = [*self._withdrawn]
        sums = Sums()
        for _, attempt, settlement, follows in entries:
            if attempt is None:
                continue
            if settlement is None:
                opened.append(open_row(attempt, self._worker))
                if follows is not None:
                    gone.append(follows)
                continue
            settled.append(settled_row(attempt, settlement))
            sums.add(attempt, settlement)
            if settlement.final:
                gone.append((attempt.request_id, attempt.number))
        with self._store.transaction() as tx:
            if self._unwritten:
                tx.add_names(*_name_rows(self._unwritten))
            tx.open(opened)
            fresh = tx.settle(settled) == len(settled)
            if not fresh and len(entries) > 1:
                raise _Known
            tx.forget(gone)
            if fresh and settled:
                tx.add_totals(*sums.rows())
            tx.mark(self._worker)

    def _settled_down(self) -> None:
        """A transaction went through: nothing is owed any more."""
        self.healthy = True
        self._owed, self._withdrawn, self._unwritten = [], [], []

    def _fail(self, batch: list[Entry], error: GatewayError) -> None:
        """Keep what has happened to be written later, take back what has not, and tell those who wait."""
        if self.healthy:
            log.error("%s", error.message)
        self.healthy = False
        owed = {id(entry) for entry in self._owed}
        self._owed += [e for e in batch if e.settlement is not None and id(e) not in owed]
        self._withdrawn += [(e.attempt.request_id, e.attempt.number) for e in batch if e.attempt and not e.settlement]
        self._answer(batch, error)

    def _answer(self, entries: Sequence[Entry], error: GatewayError | None = None) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._resolve, entries, error)
        except RuntimeError:
            log.debug("the event loop has ended; nobody waits any more")

    def _resolve(self, entries: Sequence[Entry], error: GatewayError | None) -> None:
        """On the loop's thread."""
        for future, attempt, settlement, _ in entries:
            if error is not None and attempt is not None and settlement is None:
                self._open.pop((attempt.request_id, attempt.number), None)
            if future is not None and not future.done():
                future.set_result(None) if error is None else future.set_exception(error)

    def _keep_house(self) -> None:
        """Now and then: drop old minutes; where several workers share the database, close what dead ones left."""
        now = self._clock.monotonic()
        if now - self._house_kept < HOUSEKEEPING_SECONDS or not self.healthy:
            return
        try:
            with self._store.transaction() as tx:
                more = tx.drop_minutes(self._clock.now_ms() // MINUTE_MS - MINUTES_KEPT, _PRUNED_AT_ONCE)
            if not self._database.is_sqlite:
                recovery.close_orphans(self._store, self._clock.now_ms(), self._worker)
        except GatewayError as error:
            log.warning("housekeeping will be tried again: %s", error.message)
            more = False
        self._house_kept = now - (HOUSEKEEPING_SECONDS - 1 if more else 0)


def _name_rows(names: Sequence[tuple[str | Target, int]]) -> tuple[list[Any], list[Any]]:
    aliases = [(number, name) for name, number in names if isinstance(name, str)]
    targets = [(number, name.upstream, name.model) for name, number in names if isinstance(name, Target)]
    return aliases, targets
