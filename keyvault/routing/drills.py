"""Drills: having one target fail for one key, on purpose, for a bounded time.

A running proxy follows at its next request. Nobody else's traffic is touched: another key's requests reach the target,
and what a drill makes of it counts for no breaker. A drill ends at its time even where whoever began it was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.drills import Drill, Fault, check_lasts
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, NotFound
from keyvault.storage import drills as rows
from keyvault.storage import epochs
from keyvault.storage import keys as key_rows
from keyvault.storage.engine import Database

LISTED = 50


class Drills:
    """The drills of one gateway."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def start(self, key: str, target: Target, fault: Fault, lasts: timedelta) -> Drill:
        """Have a target fail for a key from now on. Raises `NotFound`, `UsageError`, and `Conflict` where it already
        does."""
        check_lasts(lasts)
        with self._database.change() as tx:
            found = key_rows.find(tx, key)
            if found is None:
                raise NotFound(f"no such key: {key[:70]!a}", hint="gwctl keys list")
            now = self._clock.now()
            if any(each.key_id == found.id and each.target == target for each in rows.running(tx, now)):
                raise Conflict(f"{target} fails for key {found.name} already", hint="gwctl drill list")
            drill_id = rows.insert(tx, found.id, target, fault, to_ms(now), to_ms(now + lasts))
            epochs.bump(tx, "routes")
            told = {"target": str(target), "fault": fault.value, "seconds": lasts.total_seconds()}
            audit.record(tx, self._clock, "drills.start", f"key:{found.name}", **told)
            drill = rows.find(tx, drill_id)
            assert drill is not None
            return drill

    def end(self, drill_id: int) -> Drill:
        """End a drill now; one that is over stays as it is. Raises `NotFound`."""
        with self._database.write() as tx:
            drill = rows.find(tx, drill_id)
            if drill is None:
                raise NotFound(f"no such drill: {drill_id}", hint="gwctl drill list")
            if drill.runs_at(self._clock.now()):
                rows.end(tx, drill_id, self._clock.now_ms())
                epochs.bump(tx, "routes")
                audit.record(tx, self._clock, "drills.end", f"key:{drill.key}", target=str(drill.target))
            return rows.find(tx, drill_id) or drill

    def running(self) -> Sequence[Drill]:
        """Those under way, oldest first."""
        with self._database.read() as tx:
            return rows.running(tx, self._clock.now())

    def list(self, limit: int = LISTED) -> Sequence[Drill]:
        """The newest first."""
        with self._database.read() as tx:
            return rows.newest(tx, limit)
