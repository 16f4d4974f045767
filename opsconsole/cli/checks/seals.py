"""Whether the database is what gwctl left: its rows, the log of its changes, and the journal beside it."""

from __future__ import annotations

from collections.abc import Iterator

from keyvault.errors import GatewayError
from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State

_REMEDY = "look into it, then gwctl vault reseal, or restore a backup"


def rows(home: Home) -> Iterator[Finding]:
    """Every row that matters fits its seal, and none is missing or older than what was seen."""
    from keyvault.vault.manifest import SealKeys
    from keyvault.vault.survey import survey

    journal = home.seals.journal
    found = survey(home.database, SealKeys.of(home.vault.trust().access), journal)
    for text in found.unfit:
        yield Finding("rows", State.FAILED, text, _REMEDY)
    if found.manifest is not None:
        yield Finding("manifest", State.FAILED, found.manifest, _REMEDY)
    if not found.unfit and found.manifest is None:
        waiting = f"; {found.denied} stopped while the vault was locked, not sealed yet" if found.denied else ""
        yield Finding("rows", State.OK, f"all are as they were sealed{waiting}")
    if found.journal is not None:
        yield Finding("journal", State.FAILED, found.journal, _REMEDY)
    elif found.cut is not None:
        yield Finding("journal", State.WARNING, found.cut, "find out who did; the next command fills it again")
    elif found.behind:
        text = f"{journal.path} is {found.behind} entries behind the audit log"
        yield Finding("journal", State.WARNING, text, f"make it writable: ls -ld {journal.path.parent}")
    else:
        yield Finding("journal", State.OK, f"{journal.path} is at the end of the audit log")


def audit_log(home: Home) -> Iterator[Finding]:
    """Every entry follows from the one before it and, where the vault opens, fits its seal."""
    from keyvault.vault.manifest import SealKeys
    from keyvault.vault.verifying import verify

    try:
        keys = SealKeys.of(home.vault.trust().access)
    except GatewayError:  # which is the finding of another check
        keys = None
    with home.database.snapshot() as tx:
        verdict = verify(tx, keys, home.seals.journal, None)
    if not verdict.ok:
        yield Finding("audit", State.FAILED, f"entry {verdict.bad} {verdict.reason}", "gwctl audit list")
        return
    waiting = f", {verdict.unsealed} not sealed yet" if verdict.unsealed else ""
    yield Finding("audit", State.OK, f"{verdict.entries} entries, the chain is whole{waiting}")
