"""Whether a backup would come back whole: opened again, every digest, reference and audit entry checked, and every
sealed record decrypted where the vault can be opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keyvault.backup.archive import Manifest
from keyvault.backup.staged import Staged, staged
from keyvault.domain.vault import Compartment
from keyvault.errors import Locked, WrongKey
from keyvault.home import Home


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found; anything wrong is raised instead."""

    manifest: Manifest
    records: int | None
    """How many sealed records decrypt; None where the vault could not be opened."""
    unopened: str | None
    """Why it could not."""


def verify(home: Home, path: Path, *, beside: Path | None = None) -> Verified:
    """Open a backup and check it, in a private directory in `beside` (else beside the file).

    Raises `Damaged`, `FormatTooNew`, `SealError`.
    """
    with staged(home, path, beside or path.absolute().parent) as content:
        try:
            records = opened_records(content)
        except (Locked, WrongKey) as error:
            return Verified(content.manifest, None, error.message)
        return Verified(content.manifest, records, None)


def opened_records(content: Staged) -> int:
    """Decrypt every sealed record; how many there are. Raises `Locked`, `WrongKey`, or `SealError` naming a record, and
    where the rows are not those that were sealed, if any were."""
    home = content.home
    opened = home.vault.unlock() if content.manifest.sealed else home.vault.trust()
    opened.require(Compartment.UPSTREAM)
    opened.peppers()
    for problem in home.upstreams.examine():
        if problem is not None:
            raise problem
    return sum(home.vault.status().records.values())
