"""What a serving worker does beside serving: it follows the database, obeys commands, keeps house and tells of itself.

Every change is taken over within `LOOK_SECONDS`, whether or not a request comes, and told in the heartbeat at once, so
that whoever revoked a key can wait until nobody admits it any more. A chore that fails is tried again in a second and
stops neither the others nor the heartbeat.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from itertools import count
from typing import Any, Final, Protocol

import structlog

from keyvault.domain.workers import Command
from keyvault.errors import GatewayError
from keyvault.proxy.gateway import Gateway
from keyvault.proxy.metrics import Metrics
from keyvault.proxy.supervision import Chore, Look, Stopping, Supervisor
from keyvault.proxy.tables import Tables
from keyvault.storage.epochs import AGGREGATES, Epochs
from keyvault.workers import Workers

log = structlog.get_logger()

LOOK_SECONDS: Final = 0.05
TIMER_SECONDS: Final = 0.002
"""A timer may come so much too early."""
HOUSEKEEPING_SECONDS: Final = 1.0


class Obeys(Protocol):
    """Does what a command asks for, on the event loop, and says what came of it."""

    def __call__(self, payload: Mapping[str, Any]) -> Mapping[str, Any]: ...


class Watch:
    """One worker's eye on the database."""

    def __init__(
        self,
        workers: Workers,
        worker: str,
        tables: Tables,
        gateway: Gateway,
        metrics: Metrics,
        supervisor: Supervisor,
        *,
        looks: Mapping[str, Look],
        chores: Mapping[str, Chore],
        commands: Mapping[str, Obeys],
    ) -> None:
        self._workers = workers
        self._worker = worker
        self._tables = tables
        self._gateway = gateway
        self._metrics = metrics
        self._supervisor = supervisor
        self._looks = {"heartbeat": self.beat, **looks}
        self._chores = chores
        self._commands = commands
        self._beats = count(1)
        self._beating = threading.Lock()
        self._beaten = 0

    async def follow(self, stopping: Stopping) -> None:
        """Take changes over as they come, and do what they order."""
        told: Epochs | None = None
        while not stopping.is_set():
            try:
                await self._changed_since(told, stopping)
                if (seen := self._tables.seen) != told:
                    await self._obey()
                    await asyncio.to_thread(self.beat())
                    told = seen
            except GatewayError as error:
                log.error("cannot follow the database, will be tried again", reason=error.message)
                await stopping.within(HOUSEKEEPING_SECONDS)

    async def _changed_since(self, told: Epochs | None, stopping: Stopping) -> None:
        """Until the tables are as of something else, or `stopping`. Looks where no request has for `LOOK_SECONDS`, and
        from a timer: to wake a task twenty times a second costs several times what the look does."""
        loop = asyncio.get_running_loop()
        changed: asyncio.Future[None] = loop.create_future()

        def look() -> None:
            if changed.done():  # who waits was cancelled
                return
            try:
                if loop.time() > self._tables.looked_at + LOOK_SECONDS - TIMER_SECONDS:
                    self._tables.look()
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
                changed.set_exception(error)
            else:
                if stopping.is_set() or self._tables.seen != told:
                    changed.set_result(None)
                else:
                    loop.call_at(self._tables.looked_at + LOOK_SECONDS, look)

        loop.call_later(LOOK_SECONDS, look)
        await changed

    async def keep_house(self, stopping: Stopping) -> None:
        """Once a second, off the hot path and in one thread: the heartbeat, since who is silent is taken for dead, then
        what else is seen, and the chores."""
        while not await stopping.within(HOUSEKEEPING_SECONDS):
            await self._supervisor.attempt_each(self._chores, self._looks)

    def beat(self) -> Chore:
        """What tells, in a thread, of what is under way now and which changes are acted by."""
        state = {
            "in_flight": self._metrics.in_flight,
            "open_streams": self._gateway.open_streams(),
            "requests_total": self._metrics.requests_total,
            "applied": dict(zip(AGGREGATES, self._tables.seen, strict=True)),
            "targets": [asdict(target) for target in self._tables.health.told(self._tables.time.now_ms())],
            "held": self._tables.accounts.held(),
        }
        return partial(self._beat, next(self._beats), state)

    def _beat(self, number: int, state: Mapping[str, Any]) -> None:
        with self._beating:
            if number > self._beaten:  # no older word comes last
                self._workers.beat(self._worker, state)
                self._beaten = number

    async def _obey(self) -> None:
        """Do what was ordered since the last time. The tables are newer than the orders: who was revoked is known."""
        pending = await asyncio.to_thread(self._workers.pending, self._worker)
        if pending:
            results = {command.id: self._result(command) for command in pending}
            await asyncio.to_thread(self._workers.acknowledge, self._worker, results)

    def _result(self, command: Command) -> Mapping[str, Any]:
        obey = self._commands.get(command.kind)
        return obey(command.payload) if obey else {"error": "unknown command"}
