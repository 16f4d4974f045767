"""Whether prepaid balances hold: their entries, what was taken from them, and the attempts on record."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State

RESEAL = "gwctl balances history SCOPE, then gwctl balances reseal SCOPE --reason TEXT"


def balances(home: Home) -> Iterator[Finding]:
    found = home.balances.verify()
    for verdict in found:
        if verdict.tampered is not None:
            yield Finding("balances", State.FAILED, f"{verdict.tampered}; it covers nothing", RESEAL)
        elif verdict.differs is not None:
            yield Finding("balances", State.WARNING, f"{verdict.name}: {verdict.differs}", RESEAL)
    if not any(verdict.tampered or verdict.differs for verdict in found):
        yield Finding("balances", State.OK, f"{len(found)} hold" if found else "none")
