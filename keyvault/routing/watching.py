"""The guards of running rollouts at work: looks that are due are made, and what is too old is forgotten.

For whoever calls it again and again, in any worker.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Final

from keyvault.clock import Clock
from keyvault.domain.rollouts import Rollout
from keyvault.storage import rollouts as rows
from keyvault.storage.engine import Database

KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long it is on record which requests belonged to a rollout that has ended."""
FORGET_EVERY_MS: Final = 60_000
FORGOTTEN_AT_ONCE: Final = 1_000

Live = Callable[[], Collection[Rollout]]


class Watching:
    """Called once a second, in a thread of its own. `live`: the rollouts that the proxy acts by now."""

    def __init__(self, database: Database, clock: Clock, live: Live) -> None:
        self._database = database
        self._clock = clock
        self._live = live
        self._forgotten_ms = 0

    @property
    def due(self) -> bool:
        """Whether there may be anything to do."""
        return bool(self._live()) or self._clock.now_ms() - self._forgotten_ms >= FORGET_EVERY_MS

    def __call__(self) -> None:
        if live := self._live():
            from keyvault.routing import looking  # with the statistics a megabyte that most gateways never need

            with ExitStack() as looks:  # one that fails does not keep the others from being looked at
                for rollout in live:
                    looks.callback(looking.look, self._database, self._clock, rollout)
        self._forget()

    def _forget(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - self._forgotten_ms < FORGET_EVERY_MS:
            return
        forgotten = 0
        with self._database.read() as tx:
            any_old = rows.keeps_requests(tx, now_ms - KEPT_MS)
        if any_old:
            with self._database.write() as tx:
                forgotten = rows.forget_requests(tx, now_ms - KEPT_MS, FORGOTTEN_AT_ONCE)
        if forgotten < FORGOTTEN_AT_ONCE:
            self._forgotten_ms = now_ms
