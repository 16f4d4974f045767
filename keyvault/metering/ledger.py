"""The ledger: every attempt on record before it leaves, every settlement durable before its answer ends.

A future is done when its entry is durable, and fails with `Unavailable` when the database did not take it; the writer
puts whatever waits into one transaction.

- An attempt settles once: only the settlement that makes its row counts in the totals, a later one changes nothing.
- The first attempt that the database does not take fails within six seconds of the writer's turning to it (somebody
  keeps a lock, a server is frozen or gone); from then on new attempts fail at once, until the writer got through again.
- A settlement that fails is owed, and written when the database is back: as failed, with its cost and no charge, where
  it was to end an answer, since the client was not given the end. What a crash leaves open is closed as lost at the
  next start.
- A request that goes on to another target keeps its place among the open attempts until the next attempt is open, so
  that a crash between the two still counts the request, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from keyvault.clock import Clock
from keyvault.domain.ledger import OpenAttempt, Settlement
from keyvault.domain.routes import Target
from keyvault.errors import GatewayError, Unavailable
from keyvault.metering import recovery
from keyvault.metering.commits import AttemptKey, Entry
from keyvault.metering.entries import bounded
from keyvault.metering.interning import OTHER, Interned, clean
from keyvault.metering.spending import Spending
from keyvault.metering.writer import WATCH_SECONDS, Writer
from keyvault.storage.affinities import Made
from keyvault.storage.checkpoints import Checkpoints
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore, known_names

ENOUGH: Final = 32
"""Entries that are written without waiting for more."""
MOST_TURNS: Final = 4
"""Of the loop, in which more is waited for."""


class Ledger:
    """Writes attempts. `open`, `settle` and the ids are for the event loop's thread; `stop` may block."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        worker_id: str,
        store: LedgerStore | None = None,
        spending: Spending | None = None,
    ) -> None:
        """`spending` books what is taken from balances. Raises `Unavailable` where the database cannot be read."""
        self._database = database
        self._clock = clock
        self.spending = spending or Spending()
        self._writer = Writer(database, clock, worker_id, self._resolve, store or LedgerStore(database), self.spending)
        self._checkpoints = Checkpoints(database)
        self._open: dict[AttemptKey, OpenAttempt] = {}
        self._rung = False
        self._turns = 0
        self._seen = 0
        """Entries that waited when this was looked at last."""
        named, pairs = known_names(database)
        self.alias_id = Interned(
            named, OTHER, lambda name, number: self._writer.beside((name, number)), clean=clean
        ).id_of
        """The ledger's number for the name of an alias."""
        self.target_id = Interned(
            pairs,
            (OTHER, OTHER),
            lambda pair, number: self._writer.beside((Target(*pair), number)),
            clean=lambda pair: (pair[0], clean(pair[1])),
        ).id_of
        """The ledger's number for a target."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def depth(self) -> int:
        """Entries waiting for the writer, those owed from a failure included."""
        return self._writer.depth

    @property
    def written(self) -> int:
        """Transactions committed so far: while something waits, they must grow."""
        return self._writer.written

    @property
    def healthy(self) -> bool:
        """Whether the last transaction was committed."""
        return self._writer.healthy

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the writer; its futures belong to `loop`."""
        self._loop = loop
        self._writer.start(loop)
        self._checkpoints.start()
        self._watch()

    def note(self, digest: bytes, target: Target) -> None:
        """Put on record who made some conversation state: with the settlement that follows, so as durable as that."""
        self._writer.beside(Made(digest, self.target_id(target), self._clock.now_ms()))

    def open(self, attempt: OpenAttempt) -> asyncio.Future[None]:
        """Put an attempt on record; it may leave when the future is done, and must not if it fails."""
        if not self._writer.healthy and not self._writer.ended:
            return self._refused()
        number = attempt.number
        follows = None
        if number > 1 and (attempt.request_id, number - 1) not in self._open:
            follows = (attempt.request_id, number - 1)
        self._open[attempt.request_id, number] = attempt
        return self._put(attempt, None, follows)

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Close an open attempt; the first settlement counts. Done when durable, whoever settled it."""
        attempt = self._open.pop((settlement.request_id, settlement.number), None)
        return self._put(attempt, bounded(settlement) if attempt else None)

    def conclude(self, attempt: OpenAttempt) -> None:
        """Say of a settled attempt that was to be followed by another that none will: it was its request's last."""
        self._writer.put(Entry(None, attempt, concludes=True))
        self._wake()

    def recover(self) -> int:
        """Close what dead processes left open as lost; how many attempts. To be called before `start`."""
        store = LedgerStore(self._database)
        try:
            return recovery.close_orphans(store, self._clock.now_ms(), "", self.spending)
        finally:
            store.close()

    def stop(self) -> None:
        """Write what waits, then end the writer. What the database still refuses is left to recovery."""
        self._writer.stop()
        self._checkpoints.stop()

    def _put(
        self, attempt: OpenAttempt | None, settlement: Settlement | None, follows: AttemptKey | None = None
    ) -> asyncio.Future[None]:
        assert self._loop is not None, "the ledger was not started"
        future = self._loop.create_future()
        self._writer.put(Entry(future, attempt, settlement, follows))
        if not self._rung:
            self._wake()
        return future

    def _wake(self) -> None:
        assert self._loop is not None, "the ledger was not started"
        self._rung = True
        self._seen = self._turns = 0
        self._loop.call_soon(self._ring)

    def _refused(self) -> asyncio.Future[None]:
        assert self._loop is not None, "the ledger was not started"
        future = self._loop.create_future()
        future.set_exception(Unavailable("the ledger cannot be written now", hint="gwctl doctor"))
        return future

    def _watch(self) -> None:
        """Again and again: let go of a database that does not answer."""
        assert self._loop is not None
        self._writer.watch()
        if not self._writer.ended:
            self._loop.call_later(WATCH_SECONDS, self._watch)

    def _ring(self) -> None:
        """Have written all that was put, at once: a transaction costs more than an entry. Where many put something each
        turn of the loop brings more, and some turns are waited for it; where one does, the first brings none."""
        waiting = self._writer.depth
        if (self._seen or 1) < waiting < ENOUGH and self._turns < MOST_TURNS:
            self._seen = waiting
            self._turns += 1
            assert self._loop is not None
            self._loop.call_soon(self._ring)
            return
        self._rung = False
        if self._writer.ended:
            self._writer.refuse()
        else:
            self._writer.ring()

    def _resolve(self, entries: Sequence[Entry], error: GatewayError | None) -> None:
        """They are durable, or why not."""
        if error is None:
            self._checkpoints.wrote(len(entries))
            for entry in entries:
                future = entry.future
                if future is not None and not future.done():
                    future.set_result(None)
            return
        for entry in entries:
            future, attempt = entry.future, entry.attempt
            if attempt is not None and entry.settlement is None and not entry.concludes:
                self._open.pop((attempt.request_id, attempt.number), None)
            if future is not None and not future.done():
                future.set_exception(error)
