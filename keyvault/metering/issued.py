"""Whether a statement is what was issued: its digest, what the audit log says of it, and its seal where the vault is
open.

Without the vault that leaves who can write the database, and make the audit log's chain anew, and the journal with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from keyvault.domain.statements import Document, digest, missing_numbers, read
from keyvault.errors import SealError, Tampered
from keyvault.storage import audit as audit_rows
from keyvault.storage import closing as rows
from keyvault.storage import seals
from keyvault.storage.closing import Frozen
from keyvault.storage.engine import Transaction

if TYPE_CHECKING:
    from keyvault.vault.manifest import SealKeys

CREATED: Final = "statements.create"
CREDITED: Final = "statements.credit"
ADJUSTED: Final = "statements.adjust"
GIVING: Final = (CREATED, CREDITED)
"""What the audit log calls the giving of a number."""


class Vouched(StrEnum):
    """How far it is known that a statement is what was issued. Its digest, and the audit log's, are always compared."""

    SEALED = "sealed"
    """It fits its seal, too."""
    LOCKED = "not verified: vault locked"
    """Whether it fits its seal could not be told."""


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What the audit log, and seals where the vault is open, say of some that are stored."""

    digests: Mapping[str, set[str]]
    """By scope."""
    broken: frozenset[int]
    """The ids of rows that do not fit their seals."""

    @classmethod
    def of(cls, tx: Transaction, issued: Sequence[Frozen], keys: SealKeys | None) -> OnRecord:
        """`keys`: those of seals, None while the vault is locked."""
        digests: dict[str, set[str]] = {}
        for scope, detail in audit_rows.details(tx, GIVING, _scope(issued[0]) if len(issued) == 1 else None):
            digests.setdefault(scope, set()).add(_digest_told(detail))
        sealed = [] if keys is None else seals.read(tx, "statements", [stored.id for stored in issued])
        return cls(digests, frozenset(row.id for row in sealed if keys is not None and not keys.fits(row)))

    def document(self, stored: Frozen) -> Document:
        """What a stored statement says. Raises `Tampered`."""
        document = read(stored.content)
        said = (document.number, document.kind, document.customer, document.cents, document.zone, document.issued_ms)
        row = (stored.number, stored.kind, stored.customer, stored.amount_cents, stored.zone, stored.created_ms)
        fits = digest(stored.content) == stored.digest and said == row and stored.id not in self.broken
        if not fits or self.digests.get(_scope(stored)) != {stored.digest.hex()}:
            what = f"{stored.kind.replace('_', ' ')} {stored.number} is not what was issued: something else than gwctl"
            raise Tampered(f"{what} has changed it", hint="gwctl doctor, then restore a backup")
        return document

    def fits(self, stored: Frozen) -> bool:
        try:
            self.document(stored)
        except SealError:
            return False
        return True


def verified(tx: Transaction, stored: Frozen, keys: SealKeys | None) -> Document:
    """What a stored statement says. `keys`: those of seals, None while the vault is locked. Raises `Tampered`."""
    return OnRecord.of(tx, [stored], keys).document(stored)


def wrong(tx: Transaction, keys: SealKeys | None) -> list[str]:
    """What is wrong with all that was issued, in plain words; numbers that are missing, too."""
    found = []
    issued = rows.every(tx)
    record = OnRecord.of(tx, issued, keys)
    for stored in issued:
        try:
            record.document(stored)
        except SealError as error:
            found.append(error.message)
    gone = missing_numbers(stored.number for stored in issued)
    return [*found, *(f"there is no {number}, and a later one" for number in gone)]


def _scope(stored: Frozen) -> str:
    return f"{stored.kind}:{stored.number}"


def _digest_told(detail: str) -> str:
    """What an audit entry says of the digest, whatever somebody made of it."""
    try:
        return str(json.loads(detail)["digest"])
    except (ValueError, TypeError, KeyError):
        return ""
