"""The ledger's writer: decides who puts what waits into a transaction, and when.

On SQLite that is the event loop's own thread, once in each of its turns, while transactions are short: they take a
tenth of a millisecond, and a second thread at work would cost more than that in handing over the interpreter and the
processor's caches. A thread beside takes over whatever would have to wait: where somebody else has the lock, where
something is owed from a failure, for a while after a transaction took long, and always on PostgreSQL and where every
commit waits for the disk. However that thread ends, nobody is left waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Final

from keyvault.clock import Clock
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering import recovery
from keyvault.metering.commits import Answer, Commits, Entry
from keyvault.metering.entries import MINUTE_MS
from keyvault.metering.spending import Spending
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore

log = logging.getLogger(__name__)

MINUTES_KEPT: Final = 8 * 24 * 60
"""How long totals per minute are kept."""
MAX_BATCH: Final = 256
LONG_SECONDS: Final = 0.02
"""A transaction that took longer is not the loop's business: the thread writes for `REST_SECONDS`."""
REST_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 0.5
"""How often an idle writer looks whether something is owed or the house is to be kept."""
RETRY_SECONDS: Final = 0.1
"""How soon a writer that failed tries again."""
WATCH_SECONDS: Final = 0.5
HOUSEKEEPING_SECONDS: Final = 60.0
_PRUNED_AT_ONCE: Final = 10
"""Minutes; so that no attempt waits long for it."""
_STOP: Final = Entry(None)


class Writer:
    """`put` and `ring` are for the event loop's thread."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        worker: str,
        resolve: Answer,
        store: LedgerStore,
        spending: Spending,
    ) -> None:
        """`resolve`: tells those who wait; called in the loop's thread."""
        self._clock = clock
        self._worker = worker
        self._resolve = resolve
        self._store = store
        self._spending = spending
        self._shared = not database.is_sqlite
        self._commits = Commits(database, worker, store, spending)
        self.beside = self._commits.beside
        """Have a new name, or who made some conversation state, stored with the next transaction."""
        self._entries: deque[Entry] = deque()
        self.put = self._entries.append
        """Lets an entry wait; it is written after the next `ring`, or before."""
        self._turn = threading.Lock()
        """Who has it takes entries and commits."""
        self._by_loop = database.is_sqlite and database.durability != "power"
        self._rests_until = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        """The thread waits for the bell, or is about to; whoever rings says that it does no more."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._house_kept = clock.monotonic()
        self.ended = False

    @property
    def depth(self) -> int:
        """Entries that wait, those owed from a failure included."""
        return len(self._entries) + self._commits.owed

    @property
    def written(self) -> int:
        """Transactions committed so far."""
        return self._commits.written

    @property
    def healthy(self) -> bool:
        """Whether the last transaction was committed."""
        return self._commits.healthy and not self.ended

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def ring(self) -> None:
        """Have written what waits: here and now if that takes a moment, else by the thread, woken where it sleeps (at
        work it looks for itself before it goes to sleep)."""
        if self._by_loop and self._write_at_once():
            return
        if self._asleep:
            self._asleep = False
            self._bell.put(None)

    def stop(self) -> None:
        """Write what waits, then end; returns when the thread has."""
        with self._turn:
            self._by_loop = False
        if self._thread.is_alive():
            self.put(_STOP)
            self.ring()
            while self._thread.is_alive():
                self._thread.join(WATCH_SECONDS)
                self.watch()

    def watch(self) -> None:
        """Let go of a database that does not answer. For another thread, twice a second."""
        self._store.interrupt_if_late()

    def refuse(self) -> None:
        """Tell those who wait that the thread has ended. For whoever puts an entry while it ends, too."""
        self._hand_over(self._waiting(), Unavailable("the ledger has stopped"))

    def _write_at_once(self) -> bool:
        """Write what waits in the loop's thread; False where the thread is to do so."""
        began = self._clock.monotonic()
        if began < self._rests_until or not self._turn.acquire(blocking=False):
            return False
        try:
            if self._commits.pending:
                return False
            batch = self._waiting(MAX_BATCH)
            try:
                written = not batch or self._commits.commit_at_once(batch, self._resolve)
            except BaseException:
                self._put_back(batch)
                raise
            if not written:
                self._put_back(batch)
                return False
            took = self._clock.monotonic() - began
            if took > LONG_SECONDS:
                self._rests_until = began + took + REST_SECONDS
        finally:
            self._turn.release()
        return not self._entries

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        finally:
            self.ended = True
            self.refuse()
            if self._commits.owed:
                log.error("settlements not written, to be closed as lost at the next start: %d", self._commits.owed)
            self._store.close()

    def _write_until_stopped(self) -> None:
        stop = False
        while not stop:
            if not self._entries:
                self._sleep()
            with self._turn:
                batch = self._waiting(MAX_BATCH)
                try:
                    stop = bool(batch) and batch[-1] is _STOP
                    if stop:
                        batch.pop()
                    if batch or self._commits.pending:
                        self._commits.commit(batch, self._hand_over)
                except BaseException:
                    self._put_back(batch)
                    raise
                if not stop:
                    self._keep_house()

    def _sleep(self) -> None:
        """Until the bell rings, or for a while. Says so before it looks a last time, so that no entry is overslept."""
        self._asleep = True
        if not self._entries:
            with contextlib.suppress(Empty):
                self._bell.get(timeout=IDLE_SECONDS if self.healthy else RETRY_SECONDS)
        self._asleep = False

    def _put_back(self, batch: list[Entry]) -> None:
        """Where a defect keeps entries from being written they must be answered yet: the thread meets the defect too,
        ends, and tells everybody."""
        self._entries.extendleft(reversed(batch))

    def _waiting(self, at_most: int = sys.maxsize) -> list[Entry]:
        """What waits now, up to the word to stop, without waiting for more."""
        batch: list[Entry] = []
        take = self._entries.popleft
        try:
            for _ in range(min(len(self._entries), at_most)):
                entry = take()
                batch.append(entry)
                if entry is _STOP:
                    break
        except IndexError:  # at the end, the loop and the thread both refuse what waits
            pass
        return batch

    def _hand_over(self, entries: Sequence[Entry], error: GatewayError | None) -> None:
        """From the writer's thread: have those who wait told in the loop's."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._resolve, entries, error)
        except RuntimeError:
            log.debug("the event loop has ended; nobody waits any more")

    def _keep_house(self) -> None:
        """Now and then: drop old minutes; where several workers share the database, close what dead ones left."""
        now = self._clock.monotonic()
        if now - self._house_kept < HOUSEKEEPING_SECONDS or not self.healthy:
            return
        try:
            with self._store.transaction() as tx:
                more = tx.drop_minutes(self._clock.now_ms() // MINUTE_MS - MINUTES_KEPT, _PRUNED_AT_ONCE)
            if self._shared:
                recovery.close_orphans(self._store, self._clock.now_ms(), self._worker, self._spending)
        except GatewayError as error:
            log.warning("housekeeping will be tried again: %s", error.message)
            more = False
        self._house_kept = now - (HOUSEKEEPING_SECONDS - 1 if more else 0)
