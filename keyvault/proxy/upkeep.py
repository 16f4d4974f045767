"""What a worker does for its upstreams, away from the requests.

It looks into refused credentials within a second; every few seconds it destroys secrets whose overlap is over, and
writes each open alert, whoever raised it, into its log once. Once a minute it removes what drills and replays that were
killed have left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from keyvault.home import Home
from keyvault.proxy.refusals import Refusals, own_test
from keyvault.proxy.supervision import Stopping, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.storage.credentials import any_over
from keyvault.vault.asides import Asides

log = structlog.get_logger()

EVERY_SECONDS: Final = 1.0
ROUNDS_BETWEEN: Final = 5
"""So rarely does it look for what only the database knows."""
ROUNDS_BETWEEN_SWEEPS: Final = 60
"""So rarely does it look for keys that were made for a while and outlived whoever made them."""


class Upkeep:
    """Runs beside the server. What fails is logged and tried again a second later."""

    def __init__(self, home: Home, tables: Tables, supervisor: Supervisor) -> None:
        self._home = home
        self._tables = tables
        self._supervisor = supervisor
        self._refusals = Refusals(Asides(home.database, home.clock), home.clock, own_test(home.environ))
        self._logged: set[int] = set()
        self._last_open = 0
        """The newest alert that was open when they were logged."""
        self._rounds = 0

    async def follow(self, stopping: Stopping) -> None:
        while not await stopping.within(EVERY_SECONDS):
            await self.once()

    async def once(self) -> None:
        """One round. What blocks is done in a thread, and most rounds find nothing to do."""
        refused, self._tables.refused = list(self._tables.refused.values()), {}
        serving = [each for chooser in self._tables.upstreams.values() for each in chooser]
        chores: dict[str, Callable[[], None]] = {}
        if whole := self._rounds % ROUNDS_BETWEEN == 0:
            chores |= {"alerts": self._log_alerts, "retiring": self._retire}
        if whole or refused or any(each.credential.aside_at is not None for each in serving):
            chores["credentials"] = partial(self._refusals.look, refused, serving)
        if self._rounds % ROUNDS_BETWEEN_SWEEPS == 0:
            chores["temporary"] = self._sweep
        self._rounds += 1
        if chores:
            await self._supervisor.attempt_each(chores)

    def _sweep(self) -> None:
        if swept := self._home.temporary.sweep():
            log.info("temporary keys and projects removed that were left behind", count=swept)

    def _retire(self) -> None:
        with self._home.database.read() as tx:
            if not any_over(tx, self._home.clock.now()):
                return  # most gateways never come to need what changes credentials
        if retired := self._home.credentials.retire_over():
            log.info("credentials retired, their overlap is over", count=retired)

    def _log_alerts(self) -> None:
        """Each open alert once; one that was resolved and is raised anew is another."""
        last = self._home.alerts.last_open()
        if last == self._last_open:
            return
        found = self._home.alerts.every_open()
        for alert in reversed(found):
            if alert.id not in self._logged:
                log.warning("alert", kind=alert.kind, scope=alert.scope, text=alert.text)
        self._logged = {alert.id for alert in found}
        self._last_open = last
