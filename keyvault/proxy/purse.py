"""One spender at a time, where several workers serve one PostgreSQL database.

What is held for requests is in the memory of one worker, so only one may draw on hard budgets and balances: the one
that has the purse. The others refuse such calls for a moment and serve all else. Who has it and falls silent loses it
to the next, which first books what that one left open, be it back or not, and reads anew what was spent. Nobody takes
it from itself: whoever was silent and has it still knows what it holds. The ledger opens no attempt
that draws on a hard account for a worker that has lost it. On SQLite there is one worker anyway.
"""

from __future__ import annotations

from typing import Final

import structlog

from keyvault.clock import Clock
from keyvault.metering import recovery
from keyvault.metering.spending import Spending
from keyvault.proxy.tables import Tables
from keyvault.storage import purse as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.ledger import LedgerStore
from keyvault.storage.purse import Holder

log = structlog.get_logger()

TAKEN: Final = "purse"
"""What tables are told to read anew once it was taken; see `Tables.distrust`."""


class Purse:
    """A chore of one worker; call it each second, in a thread."""

    def __init__(self, database: Database, clock: Clock, worker: str, tables: Tables, spending: Spending) -> None:
        self._database = database
        self._clock = clock
        self._worker = worker
        self._tables = tables
        self._spending = spending
        self._times = 0
        if not database.is_sqlite:
            tables.purse = None

    def __call__(self) -> None:
        if self._database.is_sqlite:
            return
        with self._database.read() as tx:
            holder = self._holder(tx)
        if holder.alive and holder.worker != self._worker:
            self._lost(holder)
        elif not self._has(holder):
            self._take()

    def _holder(self, tx: Transaction) -> Holder:
        return rows.holder(tx, self._clock.now_ms() - recovery.DEAD_AFTER_MS)

    def _has(self, holder: Holder) -> bool:
        return holder.worker == self._worker and self._tables.purse is not None

    def _take(self) -> None:
        with self._database.write() as tx:
            before = self._holder(tx)
            if self._has(before) or (before.alive and before.worker != self._worker):
                return
            self._tables.purse = None
            rows.take(tx, self._worker, self._clock.now_ms())
        store = LedgerStore(self._database)
        try:
            recovery.close_orphans(store, self._clock.now_ms(), self._worker, self._spending, gone=before.worker)
        finally:
            store.close()
        log.info("has the purse: draws on hard budgets and balances", before=before.worker)
        self._times += 1
        self._tables.purse = self._times
        self._tables.distrust([TAKEN])

    def _lost(self, holder: Holder) -> None:
        if self._tables.purse is not None:
            log.error("lost the purse: calls on hard budgets and balances are refused", holder=holder.worker)
        self._tables.purse = None
