"""Watches over the rows a worker acts by, beside serving: seals what was stopped while the vault was locked, mirrors
the audit log into the journal, and raises an alert for everything that something else than gwctl has changed.
"""

from __future__ import annotations

from typing import Final

import structlog

from keyvault.errors import SealError
from keyvault.home import Home
from keyvault.storage import epochs
from keyvault.storage.seals import VOUCHED
from keyvault.vault.guard import Guard

log = structlog.get_logger()

ROW: Final = "tampered_row"
DATABASE: Final = "tampered_database"
LONGEST_UNCHECKED_SECONDS: Final = 60.0
"""The whole database is looked at when an epoch has moved, and after that long anyhow."""


class Vouching:
    """A chore of a worker; call it each second."""

    def __init__(self, home: Home, guard: Guard) -> None:
        self._home = home
        self._guard = guard
        self._told: dict[str, str] = {}
        self._checked: tuple[epochs.Epochs, float] | None = None
        self._database_is_bad = False

    def __call__(self) -> None:
        self._tell()
        try:
            self._home.seals.settle()
            self._check_all()
        except SealError as error:
            if not self._database_is_bad:
                log.error("the database is not what was sealed", reason=error.code, detail=error.message)
                self._home.alerts.raise_alert(DATABASE, "database", error.message)
            self._database_is_bad = True
            return
        if self._database_is_bad:
            self._home.alerts.resolve(DATABASE, "database")
            self._database_is_bad = False

    def _tell(self) -> None:
        """Raise what is new, resolve what is over."""
        found = {f"{name}:{row_id}": why for (name, row_id), why in self._guard.doubts.items() if name in VOUCHED}
        for scope in found.keys() - self._told.keys():
            log.error("a row is not acted by", row=scope, reason=found[scope])
            self._home.alerts.raise_alert(ROW, scope, f"{found[scope]}; it is not acted by")
        for scope in self._told.keys() - found.keys():
            self._home.alerts.resolve(ROW, scope)
        self._told = found

    def _check_all(self) -> None:
        """Compare the whole database with its manifest, where anything may have changed since the last time."""
        with self._home.database.read() as tx:
            seen = epochs.current(tx)
        now = self._home.clock.monotonic()
        if self._database_is_bad or self._checked is None or _due(self._checked, seen, now):
            self._home.seals.check(self._home.vault.unlock())
            self._checked = seen, now


def _due(checked: tuple[epochs.Epochs, float], seen: epochs.Epochs, now: float) -> bool:
    return checked[0] != seen or now - checked[1] >= LONGEST_UNCHECKED_SECONDS
