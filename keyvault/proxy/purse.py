"""One spender at a time, where several workers serve one PostgreSQL database.

What is held for requests is in the memory of one worker, so only one may draw on hard budgets and balances: the one
that has the purse. The others refuse such calls for a moment and serve all else. Who has it and falls silent loses it
to the next, which first books what the silent one left open and reads anew what was spent. The ledger opens no attempt
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
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore

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
        self._had = False
        tables.may_spend = database.is_sqlite

    def __call__(self) -> None:
        if self._database.is_sqlite:
            return
        since = self._clock.now_ms() - recovery.DEAD_AFTER_MS
        with self._database.read() as tx:
            holder = rows.holder(tx, since)
        if holder is not None and holder != self._worker:
            self._lost(holder)
        elif holder is None or not self._had:
            self._take(since)

    def _take(self, since: int) -> None:
        with self._database.write() as tx:
            if (holder := rows.holder(tx, since)) not in (None, self._worker):
                return
            rows.take(tx, self._worker, self._clock.now_ms())
        store = LedgerStore(self._database)
        try:
            recovery.close_orphans(store, self._clock.now_ms(), self._worker, self._spending)
        finally:
            store.close()
        log.info("has the purse: draws on hard budgets and balances", before=holder)
        self._had = True
        self._tables.distrust([TAKEN])

    def _lost(self, holder: str) -> None:
        if self._had:
            log.error("lost the purse: calls on hard budgets and balances are refused", holder=holder)
        self._had = self._tables.may_spend = False
