"""Tells the accounts in memory, now and then, what the ledger knows to be spent of budgets.

The memory knows it of its own requests. It learns so what requests took that were under way when a budget was made,
and what was booked beside it: batches, and attempts of other processes that were lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from keyvault.clock import Clock
from keyvault.metering.spent import Spent, spent_of_all
from keyvault.proxy.supervision import Stopping, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.storage.engine import Database

EVERY_SECONDS: Final = 30.0


class CatchingUp:
    """A job of the worker."""

    def __init__(self, database: Database, clock: Clock, tables: Tables, supervisor: Supervisor) -> None:
        self._database = database
        self._clock = clock
        self._tables = tables
        self._supervisor = supervisor

    async def follow(self, stopping: Stopping) -> None:
        while not await stopping.within(EVERY_SECONDS):
            if self._tables.accounts:
                await self._supervisor.attempt("counting", self.once)

    async def once(self) -> None:
        """Read in a thread, learn on the event loop's."""
        now_ms = self._clock.now_ms()
        spent = await asyncio.to_thread(self._read, now_ms)
        self._tables.accounts.catch_up(spent, now_ms)

    def _read(self, now_ms: int) -> Mapping[int, Spent]:
        with self._database.snapshot() as tx:
            return spent_of_all(tx, now_ms)
