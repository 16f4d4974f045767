"""Credentials that stand aside because their provider refuses them, and the alert that says so.

Standing aside decides only who gets traffic among secrets that may serve anyway, so it needs no vault and no seal.
"""

from __future__ import annotations

from typing import Final

from keyvault import alerts, audit
from keyvault.clock import Clock
from keyvault.domain.vault import Credential, CredentialState, Upstream
from keyvault.secrets import scrub
from keyvault.storage import alerts as alert_rows
from keyvault.storage import credentials as rows
from keyvault.storage import epochs
from keyvault.storage.engine import Database, Transaction
from keyvault.vault.upstreams import find_upstream

REFUSED_ALERT: Final = "credential_refused"


class Asides:
    """Lets credentials step aside and come back."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def step_aside(self, credential: Credential, name: str, note: str) -> bool:
        """Give a credential no traffic, since its own test says that the provider refuses it; whether that is new."""
        text = f"credential {credential.label} of upstream {name} is refused by the provider: {note}"
        with self._database.write() as tx:
            upstream = find_upstream(tx, name)
            new = rows.set_aside(tx, credential.id, self._clock.now(), scrub(note)[:200])
            if new:
                alerts.note(tx, self._clock, REFUSED_ALERT, f"upstream:{upstream.name}", text)
                self._changed(tx, "aside", upstream, credential)
            return new

    def come_back(self, credential: Credential, name: str) -> bool:
        """Give a credential its traffic again, since its own test was answered well; whether that is new."""
        with self._database.write() as tx:
            upstream = find_upstream(tx, name)
            new = rows.set_aside(tx, credential.id, None, "")
            if new:
                self._changed(tx, "return", upstream, credential)
                settle_alert(tx, self._clock, upstream)
            return new

    def _changed(self, tx: Transaction, verb: str, upstream: Upstream, credential: Credential) -> None:
        epochs.bump(tx, "upstreams")
        about = {"label": credential.label, "credential": credential.id}
        audit.record(tx, self._clock, f"credentials.{verb}", f"upstream:{upstream.name}", **about)


def settle_alert(tx: Transaction, clock: Clock, upstream: Upstream) -> None:
    """End the alert once every current credential of the upstream is taken by the provider."""
    current = [each for each in rows.of_upstream(tx, upstream.id) if each.state is CredentialState.CURRENT]
    if all(each.aside_at is None for each in current):
        alert_rows.resolve(tx, REFUSED_ALERT, f"upstream:{upstream.name}", clock.now_ms())
