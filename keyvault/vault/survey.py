"""What in a database is not as gwctl left it: for `doctor`, and for whoever has to decide what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keyvault import audit
from keyvault.clock import Clock
from keyvault.errors import SealError
from keyvault.journal import End, Journal
from keyvault.storage import audit as audit_rows
from keyvault.storage import seals as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.seals import VOUCHED
from keyvault.vault import manifest
from keyvault.vault.describing import described
from keyvault.vault.manifest import SealKeys, Standing
from keyvault.vault.stopped import turned_back


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. Nothing is wrong where `wrong` is empty."""

    unfit: tuple[str, ...]
    """Rows that something else than gwctl has changed, in plain words."""
    manifest: str | None
    """What is wrong with the database as a whole."""
    journal: str | None
    """How the database disagrees with the journal."""
    denied: int
    """Rows that took access away while the vault was locked, not sealed yet."""
    entries: int
    """Audit entries that are not sealed yet."""
    behind: int
    """Audit entries that the journal has not."""
    cut: str | None
    """That the journal is gone, or ends before where it had come to."""

    @property
    def wrong(self) -> tuple[str, ...]:
        return (*self.unfit, *(text for text in (self.manifest, self.journal) if text))


def survey(database: Database, keys: SealKeys, journal: Journal) -> Survey:
    """Look at everything; it changes nothing."""
    problem = None
    try:
        last, end = journal.last(), journal.end()
    except SealError as error:
        last, end, problem = None, None, error.message
    with database.snapshot() as tx:
        head, _ = audit_rows.last(tx)
        return Survey(
            unfit=tuple(_unfit(tx, keys)),
            manifest=_reason(lambda: manifest.check(tx, keys)),
            journal=problem
            or _reason(lambda: journal.check(tx, end) if end else None)
            or _foreign_line(tx, journal, last.seq if last else 0),
            denied=len(rows.unsealed_rows(tx)),
            entries=sum(row["mac"] is None for row in audit_rows.after(tx, manifest.sealed_up_to(tx))),
            behind=max(0, head - (last.seq if last else 0)),
            cut=None if problem else _cut(journal, last.seq if last else 0, end, manifest.sealed_up_to(tx)),
        )


def reseal(database: Database, clock: Clock, keys: SealKeys, journal: Journal) -> Path | None:
    """Vouch for everything as it is. A journal that does not fit the database is put aside and written anew from the
    audit log; where it is now."""
    with database.write() as tx:
        unfit = list(_unfit(tx, keys))
        aside = None if journal.fits(tx) else journal.place_aside(clock.now())
        told = {"journal_aside": aside.name} if aside else {}
        audit.record(tx, clock, "vault.reseal", "vault", unfit=unfit[:100], count=len(unfit), **told)
        manifest.seal_all(tx, keys)
    if aside is not None and not database.rehearsal:
        with database.read() as tx:
            journal.begin_anew(tx, aside)
    return aside


def _foreign_line(tx: Transaction, journal: Journal, up_to: int) -> str | None:
    found = journal.first_differing(tx, up_to)
    return found and f"audit entry {found[0]} {found[1]}"


def _cut(journal: Journal, seq: int, end: End | None, sealed: int) -> str | None:
    if seq == 0 and sealed:
        return f"{journal.path} is not there or empty, though {sealed} audit entries were sealed: it was removed"
    if end is not None and seq < end.seq:
        return f"{journal.path} was cut: it ends at entry {seq}, and had come to entry {end.seq}"
    return None


def _unfit(tx: Transaction, keys: SealKeys) -> Iterator[str]:
    turned = turned_back(tx, manifest.sealed_up_to(tx))
    listed = {*rows.unsealed_rows(tx), *((row.name, row.id) for row in turned)}
    for name in VOUCHED:
        for row in rows.read(tx, name):
            standing = keys.standing(row)
            if standing is Standing.UNFIT:
                how = "added" if row.seal is None else "changed"
                yield f"{described(row)} was {how} by something else than gwctl"
            elif standing is Standing.FITS and not row.denies and (name, row.id) in listed:
                yield f"{described(row)} had been stopped, and was turned back by something else than gwctl"


def _reason(check: Callable[[], None]) -> str | None:
    try:
        check()
    except SealError as error:
        return error.message
    return None
