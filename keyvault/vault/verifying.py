"""Whether the audit log is what was written: by its chain, its MACs, the journal, and an anchor kept elsewhere."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyvault import audit
from keyvault.errors import UsageError
from keyvault.journal import Journal
from keyvault.storage import audit as rows
from keyvault.storage.engine import Transaction
from keyvault.vault.manifest import SealKeys, sealed_up_to

_ANCHOR: Final = re.compile(r"(\d{1,18}) ([0-9a-f]{64})\s*\Z")


@dataclass(frozen=True, slots=True)
class Anchor:
    """The end of the log at some moment, to be kept where nobody who writes the database can write."""

    seq: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.seq} {self.digest.hex()}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Raises `UsageError`."""
        found = _ANCHOR.match(text.strip())
        if not found:
            raise UsageError("not an anchor: it is a number and 64 hex digits", hint="gwctl audit anchor")
        return cls(int(found[1]), bytes.fromhex(found[2]))

    @classmethod
    def of(cls, tx: Transaction) -> Anchor:
        return cls(*rows.last(tx))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; everything is in order where `bad` is None."""

    entries: int
    unsealed: int
    """Entries without a MAC yet: made while the vault was locked, they are only chained."""
    bad: int | None
    """The first entry that is not what was written."""
    reason: str | None

    @property
    def ok(self) -> bool:
        return self.bad is None


def verify(tx: Transaction, keys: SealKeys | None, journal: Journal, anchor: Anchor | None) -> Verdict:
    """Check the whole log. `keys`: None where the vault is locked, so that no MAC can be checked."""
    count = unsealed = 0
    bad, reason = None, None
    up_to = sealed_up_to(tx) if keys else 0
    previous = audit.BEGIN
    for row in rows.after(tx, 0):
        count += 1
        unsealed += row["mac"] is None
        why = None if bad is not None else _why_wrong(row, count, previous, keys, up_to)
        if why is not None:
            bad, reason = int(row["seq"]), why
        previous = bytes(row["digest"])
    if bad is None:
        bad, reason = journal.first_differing(tx) or _anchored(tx, anchor) or (None, None)
    return Verdict(count, unsealed, bad, reason)


def _why_wrong(row: Mapping[str, Any], number: int, previous: bytes, keys: SealKeys | None, up_to: int) -> str | None:
    if audit.first_broken([row], number - 1, previous) is not None:
        return "does not follow from the one before it: it was changed, or entries before it were removed"
    if keys is None:
        return None
    if row["mac"] is None:
        return "has lost its seal" if number <= up_to else None
    fits = hmac.compare_digest(bytes(row["mac"]), keys.entry_mac(bytes(row["digest"])))
    return None if fits else "does not fit its seal: it was written by somebody who cannot open the vault"


def _anchored(tx: Transaction, anchor: Anchor | None) -> tuple[int, str] | None:
    if anchor is None or rows.digest_at(tx, anchor.seq) == anchor.digest:
        return None
    return anchor.seq, "is not the one that the anchor names: the log was cut, or made anew"
