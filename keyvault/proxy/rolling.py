"""Has the guards of rollouts look when it is time, beside all else: a look at many requests takes seconds, and neither
the heartbeat nor what money depends on may wait for it."""

from __future__ import annotations

import asyncio
from typing import Final

from keyvault.home import Home
from keyvault.proxy.supervision import Stopping, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.routing.watching import Watching

EVERY_SECONDS: Final = 1.0


class Rolling:
    """A job of the worker."""

    def __init__(self, home: Home, tables: Tables, supervisor: Supervisor) -> None:
        self._watching = Watching(home.database, home.clock, lambda: tables.planner.rollouts.values())
        self._supervisor = supervisor

    async def follow(self, stopping: Stopping) -> None:
        while not await stopping.within(EVERY_SECONDS):
            if self._watching.due:
                await self._supervisor.attempt("rollouts", self._once)

    async def _once(self) -> None:
        await asyncio.to_thread(self._watching)
