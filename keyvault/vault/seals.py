"""Vouches for the rows that every transaction changes, and says which rows somebody else has changed.

What gives access, or decides about money, is sealed in the transaction that changes it, which needs the vault open.
What only takes access away never fails for want of a seal: it is noted, and sealed by whoever opens the vault next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keyvault.domain.vault import Compartment
from keyvault.errors import GatewayError, Locked, Tampered, TamperedRow
from keyvault.journal import Journal
from keyvault.storage import audit as audit_rows
from keyvault.storage import seals as rows
from keyvault.storage.engine import Database, Touched, Transaction
from keyvault.storage.seals import VOUCHED, SealedRow
from keyvault.vault import manifest
from keyvault.vault.describing import described
from keyvault.vault.manifest import Manifest, SealKeys, Standing

if TYPE_CHECKING:
    from keyvault.vault.guard import Guard
    from keyvault.vault.open_vault import OpenVault
    from keyvault.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Changed:
    """A touched row: as it was (None: it is new) and as it is (None: it is gone)."""

    before: SealedRow | None
    now: SealedRow | None

    @property
    def differs(self) -> bool:
        return self.before is None or self.now is None or self.before.fields != self.now.fields


class Seals:
    """The `Sealer` of a home's database. Threads may share it."""

    def __init__(self, database: Database, vault: Callable[[], Vault], journal: Journal) -> None:
        """`vault` gives the vault when it is first needed."""
        self._database = database
        self._vault = vault
        self.journal = journal
        self._keys: tuple[OpenVault, SealKeys] | None = None
        self._committing = threading.Lock()

    # What the database asks

    def open(self) -> None:
        self._vault().unlock(Compartment.KEYS)

    def seal(self, tx: Transaction, touched: Touched) -> None:
        changes = _changes(tx, touched)
        changed = [change for change in changes if change.differs]
        records = any(name == "sealed_records" for name, _ in touched)
        keys = self.keys
        if keys is None:
            _leave_unsealed(tx, changed, records=records)
            return
        try:
            for change in changes:
                _resealed(keys, change, 0)  # one that was turned back by somebody may look as if nothing had changed
            self._seal(tx, touched, keys, changed)
        except Tampered:
            # What else is wrong in the database must not keep anybody from taking access away.
            if records or not all(change.now is not None and change.now.denies for change in changes):
                raise
            _leave_unsealed(tx, changed, records=False)

    def committed(self) -> None:
        try:
            with self._committing, self._database.read() as tx:
                self.journal.catch_up(tx, self._database.sync)
        except GatewayError:
            return  # the change is done and must be told; `doctor` and the proxy say how far the journal is behind

    # What the vault and the proxy ask

    @property
    def keys(self) -> SealKeys | None:
        """The keys of seals; None while the vault is locked."""
        opened = self._vault().opened
        if opened is None:
            return None
        if self._keys is None or self._keys[0] is not opened:
            self._keys = opened, SealKeys.of(opened.access)
        return self._keys[1]

    def spending_key(self) -> bytes:
        """The key by which the ledger vouches for what was taken from balances. Raises `Locked`."""
        self.open()
        assert self.keys is not None
        return self.keys.spending

    def guard(self) -> Guard:
        """A fresh memory of which rows may be acted by. Raises `Locked`."""
        from keyvault.vault.guard import Guard

        self.open()
        assert self.keys is not None
        return Guard(self.keys)

    def check(self, opened: OpenVault) -> None:
        """Whether the database holds what was sealed last, and is not older than the journal. Raises `Tampered` or
        `RolledBack`. Called at each unlock."""
        end = self.journal.end()
        with self._database.snapshot() as tx:
            if end is not None:
                self.journal.check(tx, end)
            manifest.check(tx, SealKeys.of(opened.access))

    def settle(self) -> int:
        """Seal what was denied and told while the vault was locked, and bring the journal up; how many rows and
        entries. Does nothing while the vault is locked. Raises `Tampered`, or `Unavailable` where the journal cannot
        be written."""
        sealed = 0
        if (keys := self.keys) is not None and self._anything_left():
            with self._database.write() as tx:
                sealed = self._seal(tx, {}, keys, [])
        with self._database.read() as tx:
            self.journal.catch_up(tx, self._database.sync)
        return sealed

    def _anything_left(self) -> bool:
        with self._database.read() as tx:
            head, _ = audit_rows.last(tx)
            return bool(rows.unsealed_rows(tx)) or head > Manifest.read(tx).seq

    def _seal(self, tx: Transaction, touched: Touched, keys: SealKeys, changed: list[Changed]) -> int:
        """Check what was, seal what is, and renew the manifest; how many rows and entries."""
        last = Manifest.read(tx)
        now = manifest.content(tx)
        last.check(tx, keys, manifest.before(now, touched))
        sealed = [row for change in changed if (row := _resealed(keys, change, last.seq)) is not None]
        sealed += _denied_before(tx, keys, last.seq, {(row.name, row.id) for row in sealed})
        let_in = {(c.before.name, c.before.id) for c in changed if c.before is not None and c.before.denies}
        manifest.seal_entries(tx, keys, last.seq, last.digest, let_in)
        rows.write(tx, sealed)
        for row in sealed:
            now[row.name][row.id] = row.seal or b""
        manifest.renew(tx, keys, now)
        return len(sealed) + audit_rows.last(tx)[0] - last.seq


def _changes(tx: Transaction, touched: Touched) -> list[Changed]:
    """What the touched rows that are vouched for were and are."""
    by_table: dict[str, list[int]] = {}
    for name, row_id in touched:
        if name in VOUCHED:
            by_table.setdefault(name, []).append(int(row_id))
    found = {(row.name, row.id): row for name, ids in by_table.items() for row in rows.read(tx, name, ids)}
    return [
        Changed(touched[name, row_id], found.get((name, row_id))) for name, ids in by_table.items() for row_id in ids
    ]


def _leave_unsealed(tx: Transaction, changed: list[Changed], *, records: bool) -> None:
    """Note the rows that only deny. Raises `Locked` where anything else was changed."""
    for change in changed:
        if change.now is None or not _only_denies(change):
            raise Locked("the vault is locked, and this change needs it", hint="gwctl vault unlock --explain")
        rows.note_unsealed(tx, change.now.name, change.now.id)
    if records:
        raise Locked("the vault is locked, and this change needs it", hint="gwctl vault unlock --explain")


def _only_denies(change: Changed) -> bool:
    """Whether a row differs from what it was only by access taken away."""
    before, now = change.before, change.now
    return before is not None and now is not None and any(row.fields == before.fields for row in now.opener())


def _resealed(keys: SealKeys, change: Changed, after: int) -> SealedRow | None:
    """The row with its new seal; None where it is gone. Raises `Tampered` where it was not what had been sealed."""
    if change.now is None:
        return None
    if change.before is not None and keys.standing(change.before) is Standing.UNFIT:
        raise TamperedRow(
            f"{described(change.before)} was changed by something else than gwctl, so it is not changed again",
            hint=manifest.RESEAL,
        )
    return keys.sealed(change.now, after)


def _denied_before(tx: Transaction, keys: SealKeys, after: int, done: set[tuple[str, int]]) -> list[SealedRow]:
    """The rows that took access away while the vault was locked, with their seals. What is on the list and does not
    deny what was sealed stays there, for `doctor` and the proxy to name."""
    wanted: dict[str, list[int]] = {}
    for name, row_id in rows.unsealed_rows(tx):
        if (name, row_id) not in done:
            wanted.setdefault(name, []).append(row_id)
    found = (row for name, ids in wanted.items() for row in rows.read(tx, name, ids))
    return [keys.sealed(row, after) for row in found if keys.standing(row) is Standing.DENIES]
