"""Watches over the rows a worker acts by, beside serving: seals what was stopped while the vault was locked, mirrors
the audit log into the journal, has read again what something else than gwctl has changed, and raises alerts for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from keyvault.errors import GatewayError, RolledBack, SealError, Tampered
from keyvault.home import Home
from keyvault.storage import epochs
from keyvault.storage.seals import VOUCHED
from keyvault.vault.guard import Guard

log = structlog.get_logger()

ROW: Final = "tampered_row"
DATABASE: Final = "tampered_database"
LONGEST_UNCHECKED_SECONDS: Final = 60.0
"""The whole database is looked at when an epoch has moved, and after that long anyhow."""
SHORTEST_UNCHECKED_SECONDS: Final = 5.0
"""Every row is looked at as often, but no oftener than this: it takes a fifth of a second for 10,000 keys."""


class Vouching:
    """A chore of a worker; call it each second."""

    def __init__(self, home: Home, guard: Guard, distrust: Callable[[Iterable[str]], None]) -> None:
        """`distrust` has tables read again whose rows are no longer, or once more, to be acted by."""
        self._home = home
        self._guard = guard
        self._distrust = distrust
        self._told: dict[str, str] = {}
        self._checked: tuple[epochs.Epochs, float] | None = None
        self._looked: tuple[epochs.Epochs, float] | None = None
        self._settled: tuple[object, float] | None = None
        self._database_is_bad = False
        self._inherited: set[tuple[str, str]] | None = None
        """Kind and scope of alerts of an earlier process that may be over; None before they were looked up."""

    def __call__(self) -> None:
        if self._inherited is None:
            self._inherited = self._open_alerts()
        now = self._home.clock.monotonic()
        with self._home.database.read() as tx:
            seen, newest = epochs.with_newest_audited(tx)
        self._look_at_rows(seen, now)
        self._tell()
        try:
            self._settle((seen, newest, self._home.seals.journal.stamp()), now)
            self._check_all(seen, now)
        except SealError as error:
            if not self._database_is_bad:
                log.error("the database is not what was sealed", reason=error.code, detail=error.message)
                self._home.alerts.raise_alert(DATABASE, "database", error.message)
            self._database_is_bad = True
            return
        finally:
            self._tell_of_journal()
        if self._database_is_bad or (DATABASE, "database") in self._inherited:
            self._home.alerts.resolve(DATABASE, "database")
            self._inherited.discard((DATABASE, "database"))
            self._database_is_bad = False

    def _open_alerts(self) -> set[tuple[str, str]]:
        found = self._home.alerts.every_open()
        return {(alert.kind, alert.scope) for alert in found if alert.kind in (ROW, DATABASE)}

    def _look_at_rows(self, seen: epochs.Epochs, now: float) -> None:
        """Look at what every row says, where anything may have changed since the last time."""
        if self._looked is None or (
            _due(self._looked, seen, now) and now - self._looked[1] >= SHORTEST_UNCHECKED_SECONDS
        ):
            self._distrust(self._guard.look_at_all(self._home.database.snapshot))
            self._looked = seen, now

    def _tell(self) -> None:
        """Raise what is new, resolve what is over, also of what an earlier process has raised."""
        doubts, removed = self._guard.doubts, self._guard.removed
        found = {_scope(row): f"{why}; it is not acted by" for row, why in doubts.items() if row[0] in VOUCHED}
        found |= {_scope(row): f"{why}; what it said goes on" for row, why in removed.items()}
        for scope in found.keys() - self._told.keys():
            log.error("a row is not what gwctl left", row=scope, reason=found[scope])
            self._home.alerts.raise_alert(ROW, scope, found[scope])
        inherited = {scope for kind, scope in self._inherited or () if kind == ROW}
        for scope in (self._told.keys() | inherited) - found.keys():
            self._home.alerts.resolve(ROW, scope)
        self._inherited = {(kind, scope) for kind, scope in self._inherited or () if kind != ROW}
        self._told = found

    def _tell_of_journal(self) -> None:
        """It stays open until a person says that it was looked into: what was cut is there again."""
        journal = self._home.seals.journal
        if (text := journal.refilled) is not None:
            log.error("the journal was cut", detail=text)
            self._home.alerts.raise_alert(DATABASE, "journal", text)
            journal.refilled = None

    def _settle(self, seen: object, now: float) -> None:
        """Seal and mirror what others left to do. `seen`: another one where they may have."""
        if self._settled is None or _due(self._settled, seen, now):
            self._home.seals.settle()
            self._settled = seen, now

    def _check_all(self, seen: epochs.Epochs, now: float) -> None:
        """Compare the whole database with its manifest, where anything may have changed since the last time."""
        if self._database_is_bad or self._checked is None or _due(self._checked, seen, now):
            self._home.seals.check(self._home.vault.unlock())
            self._checked = seen, now


@contextlib.contextmanager
def refusals_told(home: Home) -> Iterator[None]:
    """Raise an alert where a gateway does not start because of what something else than gwctl has changed."""
    try:
        yield
    except (Tampered, RolledBack) as error:
        with contextlib.suppress(GatewayError):  # why it does not start matters more than that nobody can be told
            home.alerts.raise_alert(DATABASE, "database", f"the gateway did not start: {error.message}")
        raise


def _scope(row: tuple[str, int]) -> str:
    return f"{row[0]}:{row[1]}"


def _due(checked: tuple[object, float], seen: object, now: float) -> bool:
    return checked[0] != seen or now - checked[1] >= LONGEST_UNCHECKED_SECONDS
