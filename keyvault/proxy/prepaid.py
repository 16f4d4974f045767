"""Watches over balances beside serving: what was taken is remembered outside the database, and a balance that something
else than gwctl has changed covers nothing and is an alert, until somebody has looked into it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from keyvault.home import Home
from keyvault.metering.examining import Examiner
from keyvault.metering.remembered import Seen

log = structlog.get_logger()

TAMPERED: Final = "balance_tampered"
LOOK_SECONDS: Final = 5.0
"""How often what was taken is looked at, and remembered where it has changed."""
WHOLE_SECONDS: Final = 60.0
"""How often every entry is read again."""


class Prepaid:
    """A chore of a worker; call it each second, and `look` at its end."""

    def __init__(self, home: Home, examiner: Examiner, distrust: Callable[[Iterable[str]], None]) -> None:
        """`distrust` has balances read again that are no longer, or once more, to be drawn on."""
        self._home = home
        self._examiner = examiner
        self._distrust = distrust
        self._written: Mapping[str, Seen] | None = None
        self._told: dict[str, str] | None = None
        """Alerts by scope; None before those of an earlier process were looked up."""
        self._looked = self._looked_whole = float("-inf")

    def __call__(self) -> None:
        now = self._home.clock.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            whole = now - self._looked_whole >= WHOLE_SECONDS
            self._looked, self._looked_whole = now, now if whole else self._looked_whole
            self.look(whole=whole)
        self._tell()

    def look(self, *, whole: bool = False) -> None:
        """Look, have what has changed drawn on no more, or again, and keep what was seen for the next process."""
        before = self._examiner.doubts
        if self._examiner.look(self._home.database.snapshot, whole=whole) != before:
            self._distrust(["balances"])
        seen = self._examiner.seen
        if seen != self._written and (seen or self._written):
            self._home.database.sync()  # a power cut must not lose what is remembered: it would look put back
            self._home.remembered.write(seen)
        self._written = seen

    def _tell(self) -> None:
        """Raise what is new, resolve what is over, also of what an earlier process has raised."""
        found = {f"balance:{balance_id}": why for balance_id, why in self._examiner.doubts.items()}
        found |= {name: f"the balance of {name} was there before and is gone" for name in self._examiner.missing}
        if self._told is None:
            self._told = {a.scope: a.text for a in self._home.alerts.list(10_000) if a.kind == TAMPERED}
        for scope in found.keys() - self._told.keys():
            log.error("a balance is not drawn on", balance=scope, reason=found[scope])
            self._home.alerts.raise_alert(TAMPERED, scope, f"{found[scope]}; it covers nothing until: {RESEAL}")
        for scope in self._told.keys() - found.keys():
            self._home.alerts.resolve(TAMPERED, scope)
        self._told = found


RESEAL: Final = "gwctl balances verify, then gwctl balances reseal SCOPE"
