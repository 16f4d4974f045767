"""What a worker does for its upstreams once a second, away from the requests.

It looks into refused credentials, destroys secrets whose overlap is over, and writes each open alert, whoever raised
it, into its log once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from keyvault.home import Home
from keyvault.proxy.refusals import Refusals, own_test
from keyvault.proxy.supervision import Supervisor, within
from keyvault.proxy.tables import Tables
from keyvault.vault.asides import Asides

log = structlog.get_logger()

EVERY_SECONDS: Final = 1.0


class Upkeep:
    """Runs beside the server. What fails is logged and tried again a second later."""

    def __init__(self, home: Home, tables: Tables, supervisor: Supervisor) -> None:
        self._home = home
        self._tables = tables
        self._supervisor = supervisor
        self._refusals = Refusals(Asides(home.database, home.clock), home.clock, own_test(home.environ))
        self._logged: set[int] = set()

    async def follow(self, stopping: asyncio.Event) -> None:
        while not await within(EVERY_SECONDS, stopping):
            await self.once()

    async def once(self) -> None:
        """One round, in a thread."""
        refused, self._tables.refused = list(self._tables.refused.values()), {}
        serving = [each for chooser in self._tables.upstreams.values() for each in chooser]
        chores: dict[str, Callable[[], None]] = {
            "alerts": self._log_alerts,
            "retiring": self._retire,
            "credentials": partial(self._refusals.look, refused, serving),
        }
        for name, chore in chores.items():
            await self._supervisor.attempt(name, partial(asyncio.to_thread, chore))

    def _retire(self) -> None:
        if retired := self._home.credentials.retire_over():
            log.info("credentials retired, their overlap is over", count=retired)

    def _log_alerts(self) -> None:
        """Each open alert once; one that was resolved and is raised anew is another."""
        for alert in reversed(self._home.alerts.list()):
            if alert.id not in self._logged:
                self._logged.add(alert.id)
                log.warning("alert", kind=alert.kind, scope=alert.scope, text=alert.text)
