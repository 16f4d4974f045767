"""Whether a statement is what was issued: its digest, what the audit log says of it, and its seal where the vault is
open.

Without the vault that leaves who can write the database, and make the audit log's chain anew, and the journal with it.
"""

from __future__ import annotations

import json
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


def verified(tx: Transaction, stored: Frozen, keys: SealKeys | None) -> Document:
    """What a stored statement says. `keys`: those of seals, None while the vault is locked. Raises `Tampered`."""
    document, scope = read(stored.content), f"{stored.kind}:{stored.number}"
    said = (document.number, document.kind, document.customer, document.cents, document.zone, document.issued_ms)
    row = (stored.number, stored.kind, stored.customer, stored.amount_cents, stored.zone, stored.created_ms)
    on_record = {_digest_told(told) for told in audit_rows.details(tx, GIVING, scope)}
    fits = digest(stored.content) == stored.digest and said == row and on_record == {stored.digest.hex()}
    if not fits or not (keys is None or all(map(keys.fits, seals.read(tx, "statements", [stored.id])))):
        what = f"{stored.kind.replace('_', ' ')} {stored.number} is not what was issued: something else than gwctl"
        raise Tampered(f"{what} has changed it", hint="gwctl doctor, then restore a backup")
    return document


def wrong(tx: Transaction, keys: SealKeys | None) -> list[str]:
    """What is wrong with all that was issued, in plain words; numbers that are missing, too."""
    found = []
    issued = rows.every(tx)
    for stored in issued:
        try:
            verified(tx, stored, keys)
        except SealError as error:
            found.append(error.message)
    gone = missing_numbers(stored.number for stored in issued)
    return [*found, *(f"there is no {number}, and a later one" for number in gone)]


def _digest_told(detail: str) -> str:
    """What an audit entry says of the digest, whatever somebody made of it."""
    try:
        return str(json.loads(detail)["digest"])
    except (ValueError, TypeError, KeyError):
        return ""
