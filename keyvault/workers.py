"""The registry of workers: which proxy processes run, and their live state, told by heartbeats through the database.

A worker registers, says which addresses it got once it accepts connections, beats once a second and leaves when it
stops. One that was killed just falls silent; `live` leaves it out, and a later registration clears it away after a day.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.workers import Worker
from keyvault.storage import workers as rows
from keyvault.storage.engine import Database

LIVE: Final = timedelta(seconds=5)
"""A worker not heard from for longer is taken for gone."""
FORGOTTEN: Final = timedelta(days=1)


class Workers:
    """The registry. One process registers at most a few workers; any process may list them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
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
