"""Alerts: what went wrong where nobody was looking, kept until it is over.

Whoever notices raises it; the same thing noticed again is counted. Whoever sees it work again resolves it. Texts never
contain a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from keyvault.clock import Clock, to_ms
from keyvault.domain.alerts import Alert
from keyvault.secrets import scrub
from keyvault.storage import alerts as rows
from keyvault.storage.engine import Database, Transaction

FIRST_AGAIN: Final = timedelta(seconds=5)
LONGEST_AGAIN: Final = timedelta(hours=1)
GIVEN_UP: Final = timedelta(days=1)
"""A webhook that has not taken a message for so long is not told of it any more."""
_MORE_THAN_ARE_OPEN: Final = 10_000


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

    def raised_since(self, kind: str, scope: str, ms: int) -> bool:
        """Whether such an alert began at or after a moment, open or not."""
        with self._database.read() as tx:
            return rows.raised_since(tx, kind, scope, ms)

    def list(self, limit: int = 100, *, resolved: bool = False) -> Sequence[Alert]:
        """The newest alerts first; only open ones unless `resolved`."""
        with self._database.read() as tx:
            return rows.newest(tx, limit, resolved=resolved)

    def every_open(self) -> Sequence[Alert]:
        """All that are open, the newest first."""
        return self.list(_MORE_THAN_ARE_OPEN)

    def last_open(self) -> int:
        """The highest id of an open alert, 0 where none is; another one when an alert was raised."""
        with self._database.read() as tx:
            return rows.last_open(tx)

    def resolve_silent(self, kinds: Collection[str], for_: timedelta) -> bool:
        """Close the open alerts of these kinds that were not raised for so long; whether there were any."""
        now = self._clock.now()
        with self._database.write() as tx:
            return rows.resolve_silent(tx, kinds, to_ms(now - for_), to_ms(now))

    # What the webhook is owed: one message for each alert that was raised, one when it is over

    def next_due(self) -> Alert | None:
        """The next alert that the webhook is to be told of now; the caller tells it. It is due again later, as long as
        nobody says that it was `sent`."""
        now = self._clock.now()
        with self._database.read() as tx:
            waiting = rows.due(tx, to_ms(now), limit=100)
        for alert in waiting:
            again = to_ms(now + _until_again(alert.tries)) if now - alert.changed_at < GIVEN_UP else None
            with self._database.write() as tx:
                if rows.postpone(tx, alert, again) and again is not None:
                    return alert
        return None

    def sent(self, alert: Alert) -> None:
        """The webhook took an alert as it was."""
        with self._database.write() as tx:
            rows.set_sent(tx, alert, self._clock.now_ms())


def _until_again(tries: int) -> timedelta:
    """Twice as long after each try."""
    return min(FIRST_AGAIN * (1 << min(tries, 16)), LONGEST_AGAIN)


def note(tx: Transaction, clock: Clock, kind: str, scope: str, text: str) -> None:
    """Raise an alert in the transaction of what it is about."""
    text = scrub(text)[:500]
    if not rows.repeat(tx, kind, scope, text, clock.now_ms()):
        rows.insert(tx, kind, scope, text, clock.now_ms())
