"""Keys and projects made for one purpose only, such as a drill, and what is done about those nobody deleted.

Whoever makes one deletes it. Where that process was killed, the key expires, and a worker removes what is left.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.balances import EntryKind
from keyvault.domain.keys import Key, Project
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.keys.customers import delete_project
from keyvault.keys.deleting import delete
from keyvault.keys.known import existing_project
from keyvault.metering.booking import booked
from keyvault.storage import balances, customers, keys
from keyvault.storage.engine import Database, Transaction

LONGEST: Final = timedelta(days=1)
"""How long a temporary key lives at most, and a project without keys."""
_NAME: Final = re.compile(r"(check|replay|compare|drill|readiness)-[0-9a-hjkmnp-tv-z]{26}\Z")


def temporary_name(purpose: str, clock: Clock) -> str:
    """A name that nobody else has, and by which what is left over is known."""
    name = f"{purpose}-{clock.ulid().lower()}"
    assert _NAME.match(name), purpose
    return name


class Temporary:
    """What was made for a while only."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def sweep(self) -> int:
        """Remove keys that have expired, and old projects without keys, with what is left on their balances; how many.
        For a worker, again and again. Raises `Locked` where there is something to remove."""
        now = self._clock.now()
        with self._database.read() as tx:
            if not (_keys(tx, now) or _projects(tx, now)):
                return 0
        with self._database.change() as tx:
            for key in (left := _keys(tx, now)):
                delete(tx, self._clock, key, purge=True)
            for project in (emptied := _projects(tx, now)):
                self._remove(tx, project)
            return len(left) + len(emptied)

    def remove_project(self, path: str) -> None:
        """Delete a project with what is left on its balances, whatever is still held of it. Raises `NotFound`, and
        `Conflict` while it has keys."""
        with self._database.change() as tx:
            self._remove(tx, existing_project(tx, path))

    def _remove(self, tx: Transaction, project: Project) -> None:
        scope = ScopeRef(ScopeKind.PROJECT, project.id, project.path)
        for balance in balances.every(tx):
            if balance.scope == scope and (left := balance.available_pico):
                booked(tx, self._clock, balance, EntryKind.ADJUST, -left, "what it was made for is over")
        delete_project(tx, self._clock, project)


def _keys(tx: Transaction, now: datetime) -> list[Key]:
    return [key for key in keys.expired(tx, to_ms(now)) if _NAME.match(key.name)]


def _projects(tx: Transaction, now: datetime) -> list[Project]:
    found = [each for each in customers.list_projects(tx) if _NAME.match(each.name) and each.created_at + LONGEST < now]
    return [each for each in found if not keys.list_keys(tx, project_id=each.id)]
