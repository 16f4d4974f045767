"""The registry of workers: which proxy processes run, and their live state, told by heartbeats through the database.

A worker registers, says which addresses it got once it accepts connections, beats once a second and whenever it has
taken a change over, and leaves when it stops. One that was killed just falls silent; `live` leaves it out, and a later
registration clears it away after a day. `order` tells all of them to do something now; `wait` watches until every live
worker acts by a change.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.workers import Applied, Command, Worker
from keyvault.storage import commands, epochs
from keyvault.storage import workers as rows
from keyvault.storage.engine import Database
from keyvault.storage.epochs import Aggregate

LIVE: Final = timedelta(seconds=5)
"""A worker not heard from for longer is taken for gone."""
FORGOTTEN: Final = timedelta(days=1)
COMMANDS_KEPT: Final = timedelta(hours=1)
"""A worker that was cut off for longer has closed its streams by itself."""
LOOK_SECONDS: Final = 0.02
"""How often `wait` looks."""


class Workers:
    """The registry. One process registers at most a few workers; any process may list them."""

    def __init__(self, database: Database, clock: Clock, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._own: dict[str, Worker] = {}

    def register(self, listen: str, admin: str, version: str) -> str:
        """Enter a worker of this process; its id. `listen` and `admin` are `HOST:PORT`."""
        now = self._clock.now()
        worker = Worker(self._clock.ulid(), os.getpid(), socket.gethostname(), listen, admin, version, now, now, {})
        with self._database.write() as tx:
            rows.delete_silent_since(tx, to_ms(now - FORGOTTEN))
            rows.insert(tx, worker)
        self._own[worker.id] = worker
        return worker.id

    def bound(self, worker_id: str, listen: str, admin: str) -> None:
        """Say which addresses a worker got: where it asked for port 0, the ones it was given."""
        self._own[worker_id] = replace(self._own[worker_id], listen=listen, admin=admin)
        with self._database.write() as tx:
            rows.set_addresses(tx, worker_id, listen, admin)

    def beat(self, worker_id: str, state: Mapping[str, Any]) -> None:
        """Say that a worker lives, with its live figures. One that was cleared away, after a long sleep, comes back."""
        now = self._clock.now()
        with self._database.write() as tx:
            if not rows.beat(tx, worker_id, to_ms(now), state):
                rows.insert(tx, replace(self._own[worker_id], heartbeat_at=now, state=state))

    def leave(self, worker_id: str) -> None:
        """Take a worker out."""
        self._own.pop(worker_id, None)
        with self._database.write() as tx:
            rows.delete(tx, worker_id)

    def live(self, max_age: timedelta = LIVE) -> Sequence[Worker]:
        """The workers heard from within `max_age`, oldest first."""
        since = to_ms(self._clock.now() - max_age)
        with self._database.read() as tx:
            return rows.list_workers(tx, since)

    def list(self) -> Sequence[Worker]:
        """All workers entered, silent ones too, oldest first."""
        with self._database.read() as tx:
            return rows.list_workers(tx)

    # Commands

    def order(self, kind: str, payload: Mapping[str, Any]) -> Command:
        """Have every live worker do something now. Old commands are cleared away."""
        now = self._clock.now()
        command = Command(self._clock.ulid(), kind, payload, now)
        with self._database.write() as tx:
            commands.delete_older_than(tx, to_ms(now - COMMANDS_KEPT))
            commands.insert(tx, command)
            epochs.bump(tx, "keys")  # which is what makes them look
        return command

    def pending(self, worker_id: str) -> Sequence[Command]:
        """What a worker has not done yet, oldest first."""
        with self._database.read() as tx:
            return commands.pending_for(tx, worker_id)

    def acknowledge(self, worker_id: str, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Say what came of commands, by their ids."""
        with self._database.write() as tx:
            for command_id, result in results.items():
                commands.acknowledge(tx, command_id, worker_id, result, self._clock.now_ms())

    def epochs(self) -> Mapping[str, int]:
        """Aggregate → its change epoch now, for comparison with what each worker has applied."""
        with self._database.read() as tx:
            return dict(zip(epochs.AGGREGATES, epochs.current(tx), strict=True))

    def wait(self, aggregate: Aggregate, limit: timedelta, *, command: Command | None = None) -> Applied:
        """Until every live worker acts by the last change of an aggregate, and has answered a command; at most `limit`.

        A worker that leaves or falls silent meanwhile is not waited for: it refuses everybody.
        """
        began, epoch = self._clock.monotonic(), self.epochs()[aggregate]
        while True:
            found = self._applied(aggregate, epoch, command, began)
            if not found.missing or found.seconds >= limit.total_seconds():
                return found
            self._sleep(LOOK_SECONDS)

    def _applied(self, aggregate: Aggregate, epoch: int, command: Command | None, began: float) -> Applied:
        with self._database.read() as tx:
            live = rows.list_workers(tx, to_ms(self._clock.now() - LIVE))
            answers = commands.answers(tx, command.id) if command else {}
        done = [w for w in live if w.has_applied(aggregate, epoch) and (command is None or w.id in answers)]
        return Applied(
            done=tuple(done),
            missing=tuple(worker for worker in live if worker not in done),
            seconds=self._clock.monotonic() - began,
            results=tuple(answers[worker.id] for worker in done if worker.id in answers),
        )
