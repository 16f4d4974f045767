"""The vault: made once, opened by any of its slots, asked for its state without being opened.

Nothing that exists is ever overwritten: an existing vault refuses to be made again, an existing key file stays, and
the last slot that opens everything cannot be deleted.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, Slot, SlotKind, SlotScope
from keyvault.errors import Conflict, GatewayError, Locked, NotFound
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.vault import StoredSlot
from keyvault.vault import slots
from keyvault.vault.enrolment import Enrolment, enrol, withdraw
from keyvault.vault.generations import Access, new_data_key, open_data_keys
from keyvault.vault.open_vault import PEPPER, OpenVault
from keyvault.vault.os_keyring import Absent, OsKeyring
from keyvault.vault.recovery import read_code
from keyvault.vault.results import DeletedSlot, InitResult, NewSlot, SourceReport, VaultStatus
from keyvault.vault.slots import UnlockSecret
from keyvault.vault.unlock import SOURCES, Prompt, Surroundings, findings

__all__ = ["DeletedSlot", "InitResult", "NewSlot", "SourceReport", "Vault", "VaultStatus"]

_VAULT_ID: Final = "vault_id"
_KEY_BYTES: Final = 32
_EXISTS: Final = "a vault exists already"


class Vault:
    """The vault of one home. `prompt` asks a person; None where there is no terminal. Threads may share it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        paths: Paths,
        environ: Mapping[str, str],
        *,
        prompt: Prompt | None = None,
        keyring: OsKeyring | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._paths = paths
        self._environ = environ
        self._keyring = keyring or OsKeyring(environ)
        self._open: OpenVault | None = None
        self._opening = threading.Lock()
        self.prompt = prompt

    def initialise(
        self, unlock_kind: SlotKind, *, passphrase: Secret | None = None, recovery: bool = False
    ) -> InitResult:
        """Make the vault: root key, data keys, first pepper, first slot and, if asked for, a recovery slot.

        Raises `Conflict` where a vault or a key file exists.
        """
        self._refuse_second_vault()
        access = Access(self._clock.ulid(), SlotScope.ALL, self._clock.random_bytes(_KEY_BYTES))
        kinds = [unlock_kind, *([SlotKind.RECOVERY] if recovery else [])]
        with contextlib.ExitStack() as undo:
            enrolments = [self._enrol(undo, access, f"{kind.value}-1", kind, passphrase, None) for kind in kinds]
            with self._database.write() as tx:
                if rows.fact(tx, _VAULT_ID) is not None:
                    raise Conflict(_EXISTS, hint="gwctl vault status")
                rows.set_fact(tx, _VAULT_ID, access.vault_id)
                self._make_data_keys(tx, access)
                made = [self._insert_slot(tx, access, enrolment, SlotScope.ALL) for enrolment in enrolments]
                slots.seal_table(tx, access)
                audit.record(tx, self._clock, "vault.initialise", "vault", slots=[slot.id for slot in made])
            undo.pop_all()
        return InitResult(access.vault_id, tuple(made), enrolments[-1].recovery_code)

    def unlock(self, scope: Compartment = Compartment.KEYS) -> OpenVault:
        """Open the vault at least as far as `scope`, once; later calls give the same.

        Raises `NotFound` where nothing was set up, `Locked` or `WrongKey` naming the source that failed, `Tampered`.
        """
        with self._opening:
            if self._open is None:
                self._open = self._search_and_open()
        self._open.require(scope)
        return self._open

    def explain(self) -> list[SourceReport]:
        """Try to unlock and report on every source in order; a prompt is not asked."""
        vault_id, stored = self._read_slots()
        reports: list[SourceReport] = []
        for source in SOURCES:
            if reports and reports[-1].outcome in ("used", "refused"):
                break
            try:
                finding = source.find(self._surroundings(stored, prompt=None))
                if isinstance(finding, Absent):
                    reports.append(SourceReport(source.name, "absent", finding.why))
                    continue
                opened = self._open_with(vault_id, stored, finding)
                self._open = self._open or opened
                reports.append(SourceReport(source.name, "used", f"scope {opened.scope.value}"))
            except GatewayError as error:
                reports.append(SourceReport(source.name, "refused", error.message))
        return reports + [SourceReport(source.name, "not asked") for source in SOURCES[len(reports) :]]

    def test_recovery(self, code: Secret) -> Slot:
        """The recovery slot that a code opens. Raises `WrongKey`."""
        vault_id, stored = self._read_slots()
        secret = UnlockSecret("recovery code", frozenset({SlotKind.RECOVERY}), read_code(code.reveal()))
        return slots.open_first(vault_id, stored, secret)[0]

    def status(self) -> VaultStatus:
        """Raises `NotFound` where nothing was set up."""
        with self._database.read() as tx:
            return VaultStatus(
                vault_id=_vault_id(tx),
                slots=tuple(stored.slot for stored in rows.slots(tx)),
                data_keys=tuple(stored.data_key for stored in rows.data_keys(tx)),
                records=rows.count_records(tx),
            )

    def slots(self) -> list[Slot]:
        return list(self.status().slots)

    def create_slot(
        self,
        kind: SlotKind,
        *,
        scope: SlotScope = SlotScope.ALL,
        passphrase: Secret | None = None,
        key_file: Path | None = None,
    ) -> NewSlot:
        """Add a way to open the vault; needs it unlocked with scope `all`. `key_file`: where to write a file slot's
        key, if not in the configuration directory."""
        opened = self.unlock(Compartment.UPSTREAM)
        slot_id = _free_id(kind, self.slots())
        with contextlib.ExitStack() as undo:
            enrolment = self._enrol(undo, opened.access, slot_id, kind, passphrase, key_file)
            with self._database.write() as tx:
                table = slots.read_table(tx)
                slots.check_table(tx, opened.access, table)
                if any(stored.slot.id == slot_id for stored in table):
                    raise Conflict("another process made a slot at the same moment", hint="try again")
                slot = self._insert_slot(tx, opened.access, enrolment, scope)
                slots.seal_table(tx, opened.access)
                audit.record(tx, self._clock, "vault.slots.create", f"slot:{slot_id}", opens=scope.value)
            undo.pop_all()
        return NewSlot(slot, enrolment.recovery_code)

    def delete_slot(self, slot_id: str) -> DeletedSlot:
        """Remove a way to open the vault, and its secret where it can be removed. Raises `NotFound`, or `Conflict` for
        the last slot that opens everything."""
        opened = self.unlock(Compartment.UPSTREAM)
        with self._database.write() as tx:
            table = slots.read_table(tx)
            slots.check_table(tx, opened.access, table)
            stored = _find(table, slot_id)
            others = [other.slot for other in table if other is not stored]
            if not any(other.scope is SlotScope.ALL for other in others):
                raise Conflict(f"{slot_id} is the last slot that opens everything", hint="gwctl vault slots create")
            rows.delete_slot(tx, slot_id)
            slots.seal_table(tx, opened.access)
            audit.record(tx, self._clock, "vault.slots.delete", f"slot:{slot_id}")
        return DeletedSlot(stored.slot, withdraw(opened.access.vault_id, stored, self._keyring))

    def _make_data_keys(self, tx: Transaction, access: Access) -> None:
        for number, compartment in enumerate(Compartment, start=1):
            key = self._clock.random_bytes(_KEY_BYTES)
            rows.insert_data_key(tx, new_data_key(access, number, compartment, key, self._clock.now()))
        keys = open_data_keys(access, rows.data_keys(tx))
        opened = OpenVault(self._database, self._clock, access, keys, "a new vault")
        opened.seal(tx, "pepper-1", PEPPER, (), self._clock.random_bytes(_KEY_BYTES), version=1)

    def _refuse_second_vault(self) -> None:
        with self._database.read() as tx:
            if rows.fact(tx, _VAULT_ID) is not None:
                raise Conflict(_EXISTS, hint="gwctl vault status")

    def _enrol(
        self,
        undo: contextlib.ExitStack,
        access: Access,
        slot_id: str,
        kind: SlotKind,
        passphrase: Secret | None,
        key_file: Path | None,
    ) -> Enrolment:
        """Place the secret of a new slot, outside of any transaction: keyrings are slow and Argon2 is meant to be."""
        self._paths.make()
        path = key_file or self._paths.key_file
        enrolment = enrol(
            kind, slot_id, access.vault_id, self._clock, key_file=path, keyring=self._keyring, passphrase=passphrase
        )
        undo.callback(enrolment.undo)
        return enrolment

    def _insert_slot(self, tx: Transaction, access: Access, enrolment: Enrolment, scope: SlotScope) -> Slot:
        slot = Slot(enrolment.slot_id, enrolment.kind, scope, self._clock.now(), enrolment.detail)
        rows.insert_slot(tx, slots.wrap(access, slot, enrolment.params, enrolment.secret))
        return slot

    def _read_slots(self) -> tuple[str, list[StoredSlot]]:
        with self._database.read() as tx:
            return _vault_id(tx), slots.read_table(tx)

    def _search_and_open(self) -> OpenVault:
        vault_id, stored = self._read_slots()
        reasons = []
        for source, finding in findings(self._surroundings(stored, self.prompt)):
            if not isinstance(finding, Absent):
                return self._open_with(vault_id, stored, finding)
            if finding.why != "not set":
                reasons.append(f"{source.name}: {finding.why}")
        raise Locked(
            f"the vault is locked ({'; '.join(reasons)})",
            hint="give the key by GWCTL_KEY_FILE, GWCTL_UNLOCK_FD, GWCTL_UNLOCK_COMMAND or GWCTL_PASSPHRASE_FD",
        )

    def _open_with(self, vault_id: str, stored: list[StoredSlot], secret: UnlockSecret) -> OpenVault:
        _, access = slots.open_first(vault_id, stored, secret)
        with self._database.read() as tx:
            slots.check_table(tx, access, slots.read_table(tx))
            keys = open_data_keys(access, rows.data_keys(tx))
        return OpenVault(self._database, self._clock, access, keys, secret.source)

    def _surroundings(self, stored: list[StoredSlot], prompt: Prompt | None) -> Surroundings:
        return Surroundings(self._environ, self._paths.key_file, stored, self._keyring, prompt)


def _vault_id(tx: Transaction) -> str:
    found = rows.fact(tx, _VAULT_ID)
    if found is None:
        raise NotFound("the vault is not set up", hint="gwctl init")
    return found


def _find(table: list[StoredSlot], slot_id: str) -> StoredSlot:
    for stored in table:
        if stored.slot.id == slot_id:
            return stored
    raise NotFound(f"no such slot: {slot_id[:70]!a}", hint="gwctl vault slots list")


def _free_id(kind: SlotKind, existing: list[Slot]) -> str:
    taken = {slot.id for slot in existing}
    return next(f"{kind.value}-{n}" for n in range(1, len(taken) + 2) if f"{kind.value}-{n}" not in taken)
