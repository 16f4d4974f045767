"""What the vault vouches for: a seal on every row that matters, and one manifest over all seals and sealed records.

A seal is a MAC over the row, its place and its version: an edited or exchanged row does not fit it. The manifest is a
MAC over all of them and the end of the audit log: a row put back with its old seal, or removed, shows there. Their keys
come from the `keys` compartment, so that whoever may change downstream keys can seal them.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import Any, Final

from keyvault import audit
from keyvault.domain.vault import Compartment
from keyvault.errors import Tampered
from keyvault.storage import audit as audit_rows
from keyvault.storage import seals as rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Touched, Transaction
from keyvault.storage.foreign_code import foreign_code
from keyvault.storage.seals import VOUCHED, SealedRow
from keyvault.storage.vault import SealedRecord
from keyvault.vault.describing import described
from keyvault.vault.generations import Access
from keyvault.vault.sealing import derive, pae
from keyvault.vault.stopped import turned_back

RESEAL: Final = "gwctl doctor, then gwctl vault reseal"
_FACT: Final = "manifest"
_LATER: Final = frozenset(
    {"adjustments", "balances", "budgets", "captures", "limits", "repricings", "rollouts", "statements", "uncaptured"}
)
"""Tables that older manifests do not know: they count from their first row on."""
_RECORDS: Final = "sealed_records"

Content = dict[str, dict[Any, bytes]]
"""Table → id → what the manifest says of a row: its seal, or a digest of a sealed record."""


class Standing(Enum):
    """How a row stands to its seal."""

    FITS = "fits"
    DENIES = "denies"
    """It is what was sealed, with access taken away since."""
    UNFIT = "unfit"


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The keys that seals are made with."""

    vault_id: str
    row: bytes = field(repr=False)
    manifest: bytes = field(repr=False)
    audit: bytes = field(repr=False)
    spending: bytes = field(repr=False)

    @classmethod
    def of(cls, access: Access) -> SealKeys:
        key = access.compartment_key(Compartment.KEYS)
        return cls(
            access.vault_id, *(derive(key, purpose) for purpose in ("row-seal", "manifest", "audit", "spending"))
        )

    def seal_of(self, row: SealedRow) -> bytes:
        # As Python writes them, in ASCII: no two values of any type look alike, and it takes a microsecond.
        place = ascii((self.vault_id, row.name, row.id, row.version, row.fields))
        return hmac.digest(self.row, place.encode(), "sha256")

    def fits(self, row: SealedRow) -> bool:
        return row.seal is not None and hmac.compare_digest(row.seal, self.seal_of(row))

    def standing(self, row: SealedRow) -> Standing:
        if self.fits(row):
            return Standing.FITS
        return Standing.DENIES if any(map(self.fits, row.opener())) else Standing.UNFIT

    def sealed(self, row: SealedRow, after: int = 0) -> SealedRow:
        """The next version of a row, with its seal. `after`: the last audit entry; a version is never below it, so that
        a row which got the id of a deleted one does not look like an earlier version of that."""
        new = replace(row, version=max(row.version, after) + 1)
        return replace(new, seal=self.seal_of(new))

    def entry_mac(self, digest: bytes) -> bytes:
        """The MAC of an audit entry, which its digest stands for."""
        return hmac.digest(self.audit, pae(self.vault_id.encode(), digest), "sha256")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest as it is stored. Everything in the audit log up to `seq` has its MAC."""

    seq: int
    digest: bytes
    mac: bytes

    @classmethod
    def read(cls, tx: Transaction) -> Manifest:
        """Raises `Tampered` where there is none."""
        try:
            written = json.loads(vault_rows.fact(tx, _FACT) or "")
            return cls(int(written["seq"]), bytes.fromhex(written["digest"]), bytes.fromhex(written["mac"]))
        except (ValueError, KeyError, TypeError):
            raise Tampered(
                "nobody vouches for the rows of this database: it comes from an older version, or was changed by "
                "something else than gwctl",
                hint=RESEAL,
            ) from None

    def check(self, tx: Transaction, keys: SealKeys, content: Content) -> None:
        """Raise `Tampered` unless this is the manifest of that content, the audit log goes on from its end, and no code
        of somebody else's would change what is about to be sealed."""
        for name in foreign_code(tx):
            what = f"the database has a trigger or rule that is not gwctl's and may change anything: {name}"
            raise Tampered(what, hint="find out who made it, and DROP it")
        if not hmac.compare_digest(self.mac, _mac(keys, self.seq, self.digest, content)):
            raise Tampered("rows of the database were put back or removed by something else than gwctl", hint=RESEAL)
        if audit_rows.digest_at(tx, self.seq) != self.digest:
            raise Tampered("the audit log was cut or changed by something else than gwctl", hint="gwctl audit verify")


def check(tx: Transaction, keys: SealKeys) -> None:
    """Raise `Tampered` unless every row and record is one of those that were sealed last. One snapshot is needed."""
    Manifest.read(tx).check(tx, keys, content(tx))


def sealed_up_to(tx: Transaction) -> int:
    """The newest audit entry of which somebody who could open the vault has taken note; 0 without a manifest."""
    try:
        return Manifest.read(tx).seq
    except Tampered:
        return 0


def content(tx: Transaction) -> Content:
    """What the manifest covers, as it is now."""
    found: Content = dict(rows.seals(tx))
    found[_RECORDS] = {row[0]: _digest(*row[1:]) for row in vault_rows.every_record(tx)}
    return found


def before(now: Content, touched: Touched) -> Content:
    """What the manifest covered before a transaction touched rows, which have not been sealed again."""
    found = {name: dict(rows_of) if _any_of(name, touched) else rows_of for name, rows_of in now.items()}
    for (name, row_id), old in touched.items():
        if name not in found:
            continue
        if old is None:
            found[name].pop(row_id, None)
        else:
            found[name][row_id] = _covered(old)
    return found


def renew(tx: Transaction, keys: SealKeys, covered: Content) -> None:
    """Write the manifest of some content and the audit log's end, whose entries have their MACs."""
    seq, digest = audit_rows.last(tx)
    written = {"seq": seq, "digest": digest.hex(), "mac": _mac(keys, seq, digest, covered).hex()}
    vault_rows.set_fact(tx, _FACT, json.dumps(written, sort_keys=True))


def seal_entries(
    tx: Transaction, keys: SealKeys, after: int, digest: bytes, let_in: Collection[tuple[str, int]]
) -> None:
    """Put MACs on the audit entries behind one. Raises `Tampered` where they do not follow from it, or where a row was
    stopped according to them and gives access, but for what this transaction has `let_in` itself (table and id)."""
    entries = list(audit_rows.after(tx, after))
    if (broken := audit.first_broken(entries, after, digest)) is not None:
        raise Tampered(f"audit entry {broken} does not follow from the one before it", hint="gwctl audit verify")
    for row in turned_back(tx, after):
        if (row.name, row.id) not in let_in:
            what = f"{described(row)} had been stopped, and was turned back by something else than gwctl"
            raise Tampered(what, hint=RESEAL)
    audit_rows.set_macs(tx, {row["seq"]: keys.entry_mac(bytes(row["digest"])) for row in entries})


def seal_all(tx: Transaction, keys: SealKeys) -> None:
    """Vouch for everything as it is: for a new vault, or when a person decided so. Audit entries that have a MAC keep
    it, so that one which was changed still shows."""
    unfit = [row for name in VOUCHED for row in rows.read(tx, name) if not keys.fits(row)]
    rows.write(tx, map(keys.sealed, unfit))
    for name, row_id in rows.unsealed_rows(tx):
        rows.forget_unsealed(tx, name, [row_id])
    bare = [row for row in audit_rows.after(tx, 0) if row["mac"] is None]
    audit_rows.set_macs(tx, {row["seq"]: keys.entry_mac(bytes(row["digest"])) for row in bare})
    renew(tx, keys, content(tx))


def _mac(keys: SealKeys, seq: int, digest: bytes, covered: Content) -> bytes:
    counted = [name for name in sorted(covered) if covered[name] or name not in _LATER]
    tables = [part for name in counted for part in (name.encode(), _table_digest(covered[name]))]
    return hmac.digest(keys.manifest, pae(keys.vault_id.encode(), str(seq).encode(), digest, *tables), "sha256")


def _table_digest(of: Mapping[Any, bytes]) -> bytes:
    """Over ids, each closed by a colon and the length of what follows, in a fixed order."""
    return sha256(b"".join([b"%s:%d:%s" % (str(i).encode(), len(of[i]), of[i]) for i in sorted(of)])).digest()


def _covered(old: SealedRow | SealedRecord) -> bytes:
    if isinstance(old, SealedRow):
        return old.seal or b""
    return _digest(old.purpose, old.generation, old.version, old.blob)


def _digest(purpose: str, generation: int, version: int, blob: bytes) -> bytes:
    return sha256(b"%s:%d:%d:%s" % (purpose.encode(), generation, version, blob)).digest()


def _any_of(name: str, touched: Iterable[tuple[str, Any]]) -> bool:
    return any(table == name for table, _ in touched)
