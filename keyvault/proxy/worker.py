"""The parts of one serving process, put together, and what it does beside serving.

Attempts that a dead process left open are closed when it is made, before the first request; its books are closed when
it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib.metadata import version

import structlog

from keyvault.errors import GatewayError
from keyvault.home import Home
from keyvault.metering.ledger import Ledger
from keyvault.proxy.affinity import Affinity, Forgetting
from keyvault.proxy.alerting import Alerting, Eyes
from keyvault.proxy.catching_up import CatchingUp
from keyvault.proxy.exposition import Exposition
from keyvault.proxy.gateway import Gateway
from keyvault.proxy.isolation.isolation import Isolation
from keyvault.proxy.metrics import Metrics
from keyvault.proxy.own_usage import OwnUsage
from keyvault.proxy.prepaid import Prepaid
from keyvault.proxy.purse import Purse
from keyvault.proxy.rolling import Rolling
from keyvault.proxy.supervision import Chore, Job, Look, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.proxy.telling import Telling
from keyvault.proxy.timekeeper import remember, remembering
from keyvault.proxy.upkeep import Upkeep
from keyvault.proxy.upstream import Pool
from keyvault.proxy.vouching import Vouching, refusals_told
from keyvault.proxy.watch import Watch
from keyvault.webhook import Webhook

log = structlog.get_logger()


class Worker:
    """For the event loop, but for `close_books`, which blocks."""

    def __init__(self, home: Home, listen: str, admin: str, *, accept_clock: bool) -> None:
        self._home = home
        with refusals_told(home):
            self._tables = tables = Tables(home, accept_clock=accept_clock)
        self.id = home.workers.register(listen, admin, version("opsconsole"))
        self._ledger = ledger = Ledger(home.database, home.clock, self.id, spending=home.spending)
        if lost := ledger.recover():
            log.warning("attempts of a dead process closed as lost", attempts=lost)
            tables.rules.count_again()  # what they may have cost is spent
        self._purse = Purse(home.database, home.clock, self.id, tables, home.spending)
        self._prepaid = Prepaid(home, tables.rules.examiner, tables.distrust)
        self._metrics = Metrics()
        self.pool = Pool(connect_timeout=home.settings.connect_timeout, environ=home.environ)
        self._isolation = Isolation(home.database, home.clock, tables, ledger, self.pool, self.id)
        self.gateway = Gateway(
            tables,
            ledger,
            self.pool,
            home.settings,
            home.clock,
            self._metrics,
            self._isolation,
            Affinity(home.database, tables, ledger),
            OwnUsage(home.database, home.clock, tables),
        )
        self.exposition = Exposition(self._metrics, ledger, tables, home.clock, self.gateway.open_streams)
        self.supervisor = Supervisor(home.alerts)
        self.draining = asyncio.Event()

    async def start(self) -> None:
        """Take the purse, if it is free, and begin to write the ledger."""
        await asyncio.to_thread(self._purse)
        self._ledger.start(asyncio.get_running_loop())

    def not_ready(self) -> str | None:
        """Why it should not be sent traffic, None when it should."""
        if self.draining.is_set() or self.supervisor.down:
            return "draining" if self.draining.is_set() else "a part of the worker is being started again"
        return None if self._ledger.healthy else "the ledger cannot be written"

    def jobs(self, webhook: Webhook | None) -> Mapping[str, Job]:
        """What runs beside serving, by name."""
        home, tables, watch = self._home, self._tables, self._watch()
        return {
            "watch": watch.follow,
            "housekeeping": watch.keep_house,
            "settling": self._isolation.settling.follow,
            "upkeep": Upkeep(home, tables, self.supervisor).follow,
            "counting": CatchingUp(home.database, home.clock, tables, self.supervisor).follow,
            "rollouts": Rolling(home, tables, self.supervisor).follow,
            "webhook": Telling(home.alerts, home.clock, webhook).follow,
        }

    def close_books(self) -> None:
        """Write what waits, and sign off."""
        self._ledger.stop()
        try:
            self._tables.captures.stop()
            self._prepaid.look()
            self._tables.directory.flush()
            remember(self._home, self._tables.time)
            self._home.workers.leave(self.id)
        except GatewayError as error:
            log.error("could not sign off", reason=error.message)
        self._tables.close()

    def _watch(self) -> Watch:
        home, tables = self._home, self._tables
        chores: dict[str, Chore] = {
            "uses": tables.directory.flush,
            "time": remembering(home, tables.time),
            "affinity": Forgetting(home.database, home.clock),
            "vouching": Vouching(home, tables.guard, tables.distrust),
            "balances": self._prepaid,
            "purse": self._purse,
            "captures": tables.captures.keep,
        }
        eyes = Eyes(home.clock, tables, self._metrics, self._ledger)
        looks: dict[str, Look] = {"alerting": Alerting(home.alerts, home.clock, eyes).look}
        commands = {"cut": self.gateway.underway.cut}
        return Watch(
            home.workers,
            self.id,
            tables,
            self.gateway,
            self._metrics,
            self.supervisor,
            looks=looks,
            chores=chores,
            commands=commands,
        )
