"""The ledger's writer: one thread that puts whatever waits into one transaction, totals included.

What it could not write it owes: settlements are written, once, with the first transaction that goes through again;
attempts that were refused then are taken back, should the database have kept them after all. A settlement counts in the
totals only if it made its attempt's row: of a commit whose outcome was not known, what it had written stays. However
the thread ends, nobody is left waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from keyvault.clock import Clock
from keyvault.domain.ledger import OpenAttempt, Outcome, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering import recovery
from keyvault.metering.entries import MINUTE_MS, Sums, open_row, settled_row
from keyvault.metering.spending import Spending
from keyvault.storage.affinities import Made
from keyvault.storage.balances import Taken
from keyvault.storage.engine import Database
from keyvault.storage.ledger import BadEntry, LedgerStore, Transaction

log = logging.getLogger(__name__)

MINUTES_KEPT: Final = 8 * 24 * 60
"""How long totals per minute are kept."""
MAX_BATCH: Final = 256
IDLE_SECONDS: Final = 0.5
"""How often an idle writer looks whether something is owed or the house is to be kept."""
RETRY_SECONDS: Final = 0.1
"""How soon a writer that failed tries again."""
WATCH_SECONDS: Final = 0.5
HOUSEKEEPING_SECONDS: Final = 60.0
_PRUNED_AT_ONCE: Final = 10
"""Minutes; so that no attempt waits long for it."""

AttemptKey = tuple[str, int]
"""Request id and number."""


class Entry(Struct, frozen=True):
    """What waits for the writer: an attempt to open, to settle, or (neither) a place in the queue to reach."""

    future: asyncio.Future[None] | None
    attempt: OpenAttempt | None = None
    settlement: Settlement | None = None
    follows: AttemptKey | None = None
    """The attempt of the same request that this one comes after."""
    concludes: bool = False
    """The attempt is settled, and it turned out that none comes after it."""


_STOP: Final = Entry(None)


class _Known(Exception):
    """Some attempt of a batch is settled already."""


class NotTheSpender(Unavailable):
    """Another worker has the purse: this one must not open what draws on a hard budget or a balance."""


class Writer:
    """`put`, `name` and `ring` are for the event loop's thread; `answer` is called in the writer's."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        worker: str,
        answer: Callable[[Sequence[Entry], GatewayError | None], None],
        store: LedgerStore,
        spending: Spending,
    ) -> None:
        self._database = database
        self._clock = clock
        self._worker = worker
        self._answer = answer
        self._store = store
        self._spending = spending
        self._entries: deque[Entry] = deque()
        self.put = self._entries.append
        """Lets an entry wait; it is written after the next `ring`, or before."""
        self._beside: deque[tuple[str | Target, int] | Made] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        """The thread waits for the bell, or is about to; whoever rings says that it does no more."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._owed: list[Entry] = []
        self._withdrawn: list[AttemptKey] = []
        self._unwritten: list[tuple[str | Target, int] | Made] = []
        self._house_kept = clock.monotonic()
        self.ended = False
        self.written = 0
        """Transactions committed so far."""
        self.healthy = True
        """Whether the last transaction was committed."""

    @property
    def depth(self) -> int:
        """Entries that wait, those owed from a failure included."""
        return len(self._entries) + len(self._owed)

    def start(self) -> None:
        self._thread.start()

    def name(self, name: str | Target, number: int) -> None:
        """Store a new name with the next transaction."""
        self._beside.append((name, number))

    def note(self, made: Made) -> None:
        """Store who made some conversation state, with the next transaction."""
        self._beside.append(made)

    def ring(self) -> None:
        """Wake the writer where it sleeps: at work it looks for itself before it goes to sleep."""
        if self._asleep:
            self._asleep = False
            self._bell.put(None)

    def stop(self) -> None:
        """Write what waits, then end; returns when the thread has."""
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
        self._answer(self._waiting(), Unavailable("the ledger has stopped"))

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        finally:
            self.healthy, self.ended = False, True
            self.refuse()
            if self._owed:
                log.error("settlements not written, to be closed as lost at the next start: %d", len(self._owed))
            self._store.close()

    def _write_until_stopped(self) -> None:
        while True:
            batch = self._next_batch()
            stop = bool(batch) and batch[-1] is _STOP
            if stop:
                batch.pop()
            if batch or self._owed or self._withdrawn or not self.healthy:
                self._commit(batch)
            if stop:
                return
            self._keep_house()

    def _next_batch(self) -> list[Entry]:
        """Everything that waits; empty when nothing came for a while, or another turn has taken it."""
        if not self._entries:
            self._sleep()
        return self._waiting(MAX_BATCH)

    def _sleep(self) -> None:
        """Until the bell rings, or for a while. Says so before it looks a last time, so that no entry is overslept."""
        self._asleep = True
        if not self._entries:
            with contextlib.suppress(Empty):
                self._bell.get(timeout=IDLE_SECONDS if self.healthy else RETRY_SECONDS)
        self._asleep = False

    def _waiting(self, at_most: int = sys.maxsize) -> list[Entry]:
        """What waits now, up to the word to stop, without waiting for more."""
        batch: list[Entry] = []
        with contextlib.suppress(IndexError):  # nothing waits any more
            while len(batch) < at_most and (not batch or batch[-1] is not _STOP):
                batch.append(self._entries.popleft())
        return batch

    def _commit(self, batch: list[Entry]) -> None:
        """Write a batch and answer its futures. Never raises what concerns only the entries."""
        while self._beside:
            self._unwritten.append(self._beside.popleft())
        try:
            self._write(self._owed + batch)
        except (BadEntry, NotTheSpender, _Known):
            entries, self._owed = self._owed + batch, []
            self._commit_each(entries)
        except Unavailable as error:
            self._fail(batch, error)
        else:
            self._settled_down()
            self._answer(batch, None)

    def _commit_each(self, entries: list[Entry]) -> None:
        """The slow way, where one of the entries is wrong or settled already: a transaction for each."""
        for at, entry in enumerate(entries):
            try:
                self._write([entry])
            except (BadEntry, NotTheSpender) as error:
                log.error("an entry was refused: %s", error.message)
                self._answer([entry], error)
            except Unavailable as error:
                self._fail(entries[at:], error)
                return
            else:
                self._settled_down()
                self._answer([entry], None)

    def _write(self, entries: Sequence[Entry]) -> None:
        """One transaction. Raises `_Known` where one of several attempts is settled already, `NotTheSpender` where one
        draws on what another worker spends from."""
        opened: list[Any] = []
        drawn: list[Any] = []
        settled: list[Any] = []
        gone: list[Any] = [*self._withdrawn]
        sums, hard = Sums(), False
        taken: Sequence[Taken] = ()
        concluded: list[OpenAttempt] = []
        for entry in entries:
            attempt, settlement, follows = entry.attempt, entry.settlement, entry.follows
            if attempt is None:
                continue
            if entry.concludes:
                concluded.append(attempt)
                gone.append((attempt.request_id, attempt.number))
                continue
            if settlement is None:
                opened.append(open_row(attempt, self._worker))
                hard = hard or attempt.hard
                drawn += attempt.drawn
                if follows is not None:
                    gone.append(follows)
                continue
            settled.append(settled_row(attempt, settlement))
            sums.add(attempt, settlement)
            if settlement.final:  # the one before it, too, should it not have been followed after all
                gone += [(attempt.request_id, number) for number in range(1, attempt.number + 1)]
        with self._store.transaction() as tx:
            if self._unwritten:
                _write_beside(tx, self._unwritten)
            if hard and not self._database.is_sqlite and not tx.has_purse(self._worker):
                raise NotTheSpender("another worker spends from hard budgets and balances now")
            tx.open(opened)
            tx.draw(drawn)
            fresh = tx.settle(settled) == len(settled)
            if not fresh and len(entries) > 1:
                raise _Known
            tx.forget(gone)
            for attempt in concluded:
                recovery.conclude(tx, sums, attempt)
            if (fresh and settled) or concluded:
                tx.add_totals(*sums.rows())
                taken = self._spending.take(tx, sums.taken)
            tx.mark(self._worker)
        self._spending.written(taken)

    def _settled_down(self) -> None:
        """A transaction went through: nothing is owed any more."""
        self.healthy = True
        self.written += 1
        self._owed, self._withdrawn, self._unwritten = [], [], []

    def _fail(self, batch: list[Entry], error: GatewayError) -> None:
        """Keep what has happened to be written later, take back what has not, and tell those who wait."""
        if self.healthy:
            log.error("%s", error.message)
        self.healthy = False
        self._owed += [replace(e, settlement=_undelivered(e.settlement)) for e in batch if e.settlement is not None]
        self._owed += [e for e in batch if e.concludes]
        opening = [e.attempt for e in batch if e.attempt and not e.settlement and not e.concludes]
        self._withdrawn += [(attempt.request_id, attempt.number) for attempt in opening]
        self._answer(batch, error)

    def _keep_house(self) -> None:
        """Now and then: drop old minutes; where several workers share the database, close what dead ones left."""
        now = self._clock.monotonic()
        if now - self._house_kept < HOUSEKEEPING_SECONDS or not self.healthy:
            return
        try:
            with self._store.transaction() as tx:
                more = tx.drop_minutes(self._clock.now_ms() // MINUTE_MS - MINUTES_KEPT, _PRUNED_AT_ONCE)
            if not self._database.is_sqlite:
                recovery.close_orphans(self._store, self._clock.now_ms(), self._worker, self._spending)
        except GatewayError as error:
            log.warning("housekeeping will be tried again: %s", error.message)
            more = False
        self._house_kept = now - (HOUSEKEEPING_SECONDS - 1 if more else 0)


def _undelivered(settlement: Settlement) -> Settlement:
    """What is owed of a settlement that failed: an answer that waited for it was cut, so it is not to be paid for."""
    if settlement.outcome is not Outcome.SERVED or not settlement.final:
        return settlement
    doubt = (settlement.charge_pico or 0) + (settlement.doubt_pico or 0)
    return replace(settlement, outcome=Outcome.FAILED, charge_pico=0, doubt_pico=doubt, error_code="not_delivered")


def _write_beside(tx: Transaction, beside: Sequence[tuple[str | Target, int] | Made]) -> None:
    """What does not wait for an answer: new names, and who made which conversation state. In order, so that no two
    workers wait for each other's rows."""
    names = [each for each in beside if not isinstance(each, Made)]
    aliases = [(number, name) for name, number in names if isinstance(name, str)]
    targets = [(name.upstream, name.model, number) for name, number in names if isinstance(name, Target)]
    tx.add_names(sorted(aliases, key=lambda row: row[1]), [(number, *pair) for *pair, number in sorted(targets)])
    made = {each.digest: each for each in beside if isinstance(each, Made)}
    tx.note_makers([made[digest] for digest in sorted(made)])
