"""Alerts: what went wrong where nobody was looking, kept until it is over.

Whoever notices raises it; the same thing noticed again is counted. Whoever sees it work again resolves it. Texts never
contain a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyvault.clock import Clock
from keyvault.domain.alerts import Alert
from keyvault.secrets import scrub
from keyvault.storage import alerts as rows
from keyvault.storage.engine import Database, Transaction


class Alerts:
    """The service behind `gwctl alerts`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def raise_alert(self, kind: str, scope: str, text: str) -> None:
        """Say that something is wrong, in a transaction of its own."""
        with self._database.write() as tx:
            note(tx, self._clock, kind, scope, text)

    def resolve(self, kind: str, scope: str) -> bool:
        """Say that it is over; whether it had been open."""
        with self._database.write() as tx:
            return rows.resolve(tx, kind, scope, self._clock.now_ms())

    def list(self, limit: int = 100, *, resolved: bool = False) -> Sequence[Alert]:
        """The newest alerts first; only open ones unless `resolved`."""
        with self._database.read() as tx:
            return rows.newest(tx, limit, resolved=resolved)


def note(tx: Transaction, clock: Clock, kind: str, scope: str, text: str) -> None:
    """Raise an alert in the transaction of what it is about."""
    text = scrub(text)[:500]
    if not rows.repeat(tx, kind, scope, text, clock.now_ms()):
        rows.insert(tx, kind, scope, text, clock.now_ms())
