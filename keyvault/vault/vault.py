"""The vault: made once, opened by any of its slots, asked for its state without being opened.

Nothing that exists is ever overwritten: an existing vault refuses to be made again, and an existing key file stays.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, Slot, SlotKind, SlotScope
from keyvault.errors import Conflict, GatewayError, Locked, NotFound
from keyvault.secrets import Secret
from keyvault.settings import Paths
from keyvault.storage import peppers as pepper_rows
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.vault import StoredSlot
from keyvault.vault import history, slots
from keyvault.vault.enrolment import Enrolment, enrol
from keyvault.vault.generations import Access, new_data_key, open_data_keys
from keyvault.vault.hygiene import harden_process
from keyvault.vault.manifest import SealKeys, seal_all
from keyvault.vault.open_vault import PEPPER, OpenVault
from keyvault.vault.os_keyring import Absent, OsKeyring
from keyvault.vault.results import InitResult, SourceReport, VaultStatus
from keyvault.vault.slots import UnlockSecret
from keyvault.vault.unlock import SOURCES, Prompt, Surroundings, findings

__all__ = ["InitResult", "SourceReport", "Vault", "VaultStatus"]

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
        check: Callable[[OpenVault], None] | None = None,
    ) -> None:
        """`check` looks at the database once the vault is open, before anybody uses it, and raises what is wrong."""
        self._database = database
        self._clock = clock
        self._paths = paths
        self._environ = environ
        self._keyring = keyring or OsKeyring(environ)
        self._check = check
        self._open: OpenVault | None = None
        self._tried: OpenVault | None = None
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
            enrolments = [self._enrol(undo, access, kind, passphrase) for kind in kinds]
            with self._database.write() as tx:
                if rows.fact(tx, _VAULT_ID) is not None:
                    raise Conflict(_EXISTS, hint="gwctl vault status")
                rows.set_fact(tx, _VAULT_ID, access.vault_id)
                self._make_data_keys(tx, access)
                made = [self._insert_slot(tx, access, enrolment) for enrolment in enrolments]
                slots.seal_table(tx, access)
                audit.record(tx, self._clock, "vault.initialise", "vault", slots=[slot.id for slot in made])
                seal_all(tx, SealKeys.of(access))
            undo.pop_all()
        return InitResult(access.vault_id, tuple(made), enrolments[-1].recovery_code)

    def unlock(self, scope: Compartment = Compartment.KEYS) -> OpenVault:
        """Open the vault at least as far as `scope`, once; later calls give the same.

        Raises `NotFound` where nothing was set up, `Locked` or `WrongKey` naming the source that failed, `Tampered` or
        `RolledBack` where the database is not what gwctl left.
        """
        return self._unlock(scope, self._check)

    def trust(self) -> OpenVault:
        """Open the vault, for the rest of this process, over a database that is not what gwctl left: to find out what
        is wrong with it."""
        return self._unlock(Compartment.KEYS, None)

    @property
    def opened(self) -> OpenVault | None:
        """What was unlocked already by this process; None while the vault is locked."""
        return self._open

    def explain(self) -> list[SourceReport]:
        """Try to unlock and report on every source in order. What one of them opens serves the next `unlock`: some
        sources can be read only once."""
        vault_id, stored = self._read_slots()
        reports: list[SourceReport] = []
        for source in SOURCES:
            if reports and reports[-1].outcome in ("used", "refused"):
                break
            try:
                finding = source.find(self._surroundings(stored))
                if isinstance(finding, Absent):
                    reports.append(SourceReport(source.name, "absent", finding.why))
                    continue
                self._tried = self._open_with(vault_id, stored, finding)
                reports.append(SourceReport(source.name, "used", f"scope {self._tried.scope.value}"))
            except GatewayError as error:
                reports.append(SourceReport(source.name, "refused", error.message))
        return reports + [SourceReport(source.name, "not asked") for source in SOURCES[len(reports) :]]

    def status(self) -> VaultStatus:
        """Raises `NotFound` where nothing was set up."""
        with self._database.read() as tx:
            return VaultStatus(
                vault_id=_vault_id(tx),
                slots=tuple(stored.slot for stored in rows.slots(tx)),
                data_keys=tuple(stored.data_key for stored in rows.data_keys(tx)),
                records=rows.count_records(tx),
                peppers=tuple(pepper_rows.stored(tx, self._clock.now_ms())),
                last_done=history.last_done(tx),
            )

    def _unlock(self, scope: Compartment, check: Callable[[OpenVault], None] | None) -> OpenVault:
        with self._opening:
            if self._open is None:
                opened = self._tried or self._search_and_open()
                if check is not None:
                    check(opened)
                self._open = opened
        self._open.require(scope)
        return self._open

    def id(self, tx: Transaction) -> str:
        """The vault's identity. Raises `NotFound` where nothing was set up."""
        return _vault_id(tx)

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
        self, undo: contextlib.ExitStack, access: Access, kind: SlotKind, passphrase: Secret | None
    ) -> Enrolment:
        """Place the secret of a first slot, outside of any transaction: keyrings are slow and Argon2 is meant to be."""
        harden_process()
        self._paths.make()
        made = enrol(
            kind,
            f"{kind.value}-1",
            access.vault_id,
            self._clock,
            key_file=self._paths.key_file,
            keyring=self._keyring,
            passphrase=passphrase,
        )
        undo.callback(made.undo)
        return made

    def _insert_slot(self, tx: Transaction, access: Access, enrolment: Enrolment) -> Slot:
        slot = Slot(enrolment.slot_id, enrolment.kind, SlotScope.ALL, self._clock.now(), enrolment.detail)
        rows.insert_slot(tx, slots.wrap(access, slot, enrolment.params, enrolment.secret))
        return slot

    def _read_slots(self) -> tuple[str, list[StoredSlot]]:
        """What can be opened, read before anything is: from here on this process may hold a secret."""
        harden_process()
        with self._database.read() as tx:
            return _vault_id(tx), slots.read_table(tx)

    def _search_and_open(self) -> OpenVault:
        vault_id, stored = self._read_slots()
        reasons = []
        for source, finding in findings(self._surroundings(stored)):
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

    def _surroundings(self, stored: list[StoredSlot]) -> Surroundings:
        return Surroundings(self._environ, self._paths.key_file, stored, self._keyring, self.prompt)


def _vault_id(tx: Transaction) -> str:
    found = rows.fact(tx, _VAULT_ID)
    if found is None:
        raise NotFound("the vault is not set up", hint="gwctl init")
    return found
