"""Adding, replacing, removing and trying out the ways to open the vault.

Nothing that exists is overwritten, the last slot that opens everything stays, and a slot that replaces another is
proven to open the vault before that one goes, in one transaction.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, Slot, SlotKind, SlotScope
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.vault import StoredSlot
from keyvault.vault import history, slots
from keyvault.vault.enrolment import enrol, withdraw
from keyvault.vault.generations import Access
from keyvault.vault.hygiene import harden_process
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.passphrase import normalised
from keyvault.vault.recovery import read_code
from keyvault.vault.results import DeletedSlot, NewSlot
from keyvault.vault.slots import UnlockSecret
from keyvault.vault.vault import Vault


class Slots:
    """The service behind `gwctl vault slots`, `change-passphrase` and `test-recovery`."""

    def __init__(self, database: Database, clock: Clock, paths: Paths, vault: Vault, keyring: OsKeyring) -> None:
        self._database = database
        self._clock = clock
        self._paths = paths
        self._vault = vault
        self._keyring = keyring

    def list(self) -> Sequence[Slot]:
        """All slots, oldest first; the vault may be locked."""
        return self._vault.status().slots

    def create(
        self,
        kind: SlotKind,
        *,
        scope: SlotScope = SlotScope.ALL,
        passphrase: Secret | None = None,
        key_file: Path | None = None,
    ) -> NewSlot:
        """Add a way to open the vault; needs it unlocked with scope `all`. `key_file`: where to write a file slot's
        key, if not in the configuration directory."""
        access = self._vault.unlock(Compartment.UPSTREAM).access
        slot_id = _free_id(kind, self.list())
        with contextlib.ExitStack() as undo:
            enrolment = enrol(
                kind,
                slot_id,
                access.vault_id,
                self._clock,
                key_file=key_file or self._paths.key_file,
                keyring=self._keyring,
                passphrase=passphrase,
            )
            undo.callback(enrolment.undo)
            with self._database.change() as tx:
                _refuse_taken(self._checked(tx, access), slot_id)
                slot = Slot(slot_id, kind, scope, self._clock.now(), enrolment.detail)
                rows.insert_slot(tx, slots.wrap(access, slot, enrolment.params, enrolment.secret))
                slots.seal_table(tx, access)
                audit.record(tx, self._clock, "vault.slots.create", f"slot:{slot_id}", opens=scope.value)
            if not self._database.rehearsal:
                undo.pop_all()
        return NewSlot(slot, enrolment.recovery_code)

    def delete(self, slot_id: str) -> DeletedSlot:
        """Remove a way to open the vault, and its secret where it can be removed. Raises `NotFound`, or `Conflict` for
        the last slot that opens everything."""
        access = self._vault.unlock(Compartment.UPSTREAM).access
        with self._database.change() as tx:
            table = self._checked(tx, access)
            stored = _find(table, slot_id)
            others = [other.slot for other in table if other is not stored]
            if not any(other.scope is SlotScope.ALL for other in others):
                raise Conflict(f"{slot_id} is the last slot that opens everything", hint="gwctl vault slots create")
            rows.delete_slot(tx, slot_id)
            slots.seal_table(tx, access)
            audit.record(tx, self._clock, "vault.slots.delete", f"slot:{slot_id}")
        removed = False if self._database.rehearsal else withdraw(access.vault_id, stored, self._keyring)
        return DeletedSlot(stored.slot, removed)

    def passphrase_slot(self, slot_id: str | None = None) -> Slot:
        """The slot whose passphrase is to change: the one named, or the only one. Raises `NotFound`, `UsageError`."""
        found = [slot for slot in self.list() if slot.kind is SlotKind.PASSPHRASE and slot_id in (None, slot.id)]
        if not found:
            what = (
                "the vault has no passphrase slot" if slot_id is None else f"no such passphrase slot: {slot_id[:70]!a}"
            )
            raise NotFound(what, hint="gwctl vault slots create passphrase")
        if len(found) > 1:
            raise UsageError("the vault has several passphrase slots", hint=f"--slot {found[0].id}")
        return found[0]

    def change_passphrase(self, passphrase: Secret, slot_id: str | None = None) -> Slot:
        """Put a slot with another passphrase in the place of one; needs the vault unlocked with scope `all`. Raises
        `UsageError` for one that is too short."""
        old = self.passphrase_slot(slot_id)
        access = self._vault.unlock(Compartment.UPSTREAM).access
        fresh = self._proven(access, old, passphrase)
        with self._database.change() as tx:
            table = self._checked(tx, access)
            _refuse_taken(table, fresh.slot.id)
            _find(table, old.id)
            rows.insert_slot(tx, fresh)
            if fresh not in rows.slots(tx):
                raise Conflict("the database did not keep the new slot; the old passphrase still works")
            rows.delete_slot(tx, old.id)
            slots.seal_table(tx, access)
            history.happened(tx, self._clock, history.CHANGED_PASSPHRASE)
            audit.record(tx, self._clock, "vault.change-passphrase", f"slot:{fresh.slot.id}", replaces=old.id)
        return fresh.slot

    def test_recovery(self, code: Secret) -> Slot:
        """The recovery slot that a code opens, with all that an unlock checks. Raises `WrongKey`, `Tampered`."""
        harden_process()
        secret = UnlockSecret("recovery code", frozenset({SlotKind.RECOVERY}), read_code(code.reveal()))
        with self._database.write() as tx:
            table = slots.read_table(tx)
            slot, access = slots.open_first(self._vault.id(tx), table, secret)
            slots.check_table(tx, access, table)
            history.happened(tx, self._clock, history.TESTED_RECOVERY)
            audit.record(tx, self._clock, "vault.test-recovery", f"slot:{slot.id}")
        return slot

    def _checked(self, tx: Transaction, access: Access) -> Sequence[StoredSlot]:
        table = slots.read_table(tx)
        slots.check_table(tx, access, table)
        return table

    def _proven(self, access: Access, old: Slot, passphrase: Secret) -> StoredSlot:
        """A slot for a passphrase that was opened with it, outside of any transaction: Argon2 is meant to be slow."""
        kind = SlotKind.PASSPHRASE
        slot_id = _free_id(kind, self.list())
        nowhere = self._paths.key_file
        made = enrol(
            kind,
            slot_id,
            access.vault_id,
            self._clock,
            key_file=nowhere,
            keyring=self._keyring,
            passphrase=passphrase,
        )
        fresh = slots.wrap(access, Slot(slot_id, kind, old.scope, self._clock.now()), made.params, made.secret)
        opened = slots.unwrap(access.vault_id, fresh, normalised(passphrase.reveal()))
        if not hmac.compare_digest(opened.key, access.key_for(old.scope)):
            raise Conflict("the new slot does not open the vault; the old passphrase still works")
        return fresh


def _refuse_taken(table: Sequence[StoredSlot], slot_id: str) -> None:
    if any(stored.slot.id == slot_id for stored in table):
        raise Conflict("another process made a slot at the same moment", hint="try again")


def _find(table: Sequence[StoredSlot], slot_id: str) -> StoredSlot:
    for stored in table:
        if stored.slot.id == slot_id:
            return stored
    raise NotFound(f"no such slot: {slot_id[:70]!a}", hint="gwctl vault slots list")


def _free_id(kind: SlotKind, existing: Sequence[Slot]) -> str:
    taken = {slot.id for slot in existing}
    return next(f"{kind.value}-{n}" for n in range(1, len(taken) + 2) if f"{kind.value}-{n}" not in taken)
