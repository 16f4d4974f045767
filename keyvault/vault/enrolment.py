"""Makes the unlock secret of a new slot and puts it where it is kept; takes it away again when the slot goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from keyvault.clock import Clock
from keyvault.domain.vault import SlotKind
from keyvault.errors import GatewayError
from keyvault.secrets import Secret
from keyvault.storage.vault import StoredSlot
from keyvault.vault import keyfile, recovery, slots
from keyvault.vault.os_keyring import OsKeyring
from keyvault.vault.passphrase import SALT_BYTES, Argon2Parameters, check_new, derive_secret
from keyvault.vault.unlock import keyring_place


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An unlock secret that has been put in its place, for a slot that is still to be written."""

    slot_id: str
    kind: SlotKind
    secret: bytes = field(repr=False)
    params: str = "{}"
    detail: str = ""
    """For people: where it is."""
    recovery_code: Secret | None = None
    undo: Callable[[], object] = _nothing
    """Takes the secret away again."""


def enrol(
    kind: SlotKind,
    slot_id: str,
    vault_id: str,
    clock: Clock,
    *,
    key_file: Path,
    keyring: OsKeyring,
    passphrase: Secret | None,
) -> Enrolment:
    """Make and place the secret of a new slot. Raises `Conflict`, `Unavailable`, `Locked` or `UsageError`."""
    if kind is SlotKind.PASSPHRASE:
        chosen = check_new(passphrase)
        parameters = Argon2Parameters(clock.random_bytes(SALT_BYTES).hex())
        return Enrolment(slot_id, kind, derive_secret(chosen, parameters), parameters.to_json())
    secret = clock.random_bytes(keyfile.KEY_BYTES)
    if kind is SlotKind.RECOVERY:
        return Enrolment(slot_id, kind, secret, recovery_code=recovery.write_code(secret))
    if kind is SlotKind.FILE:
        return _in_file(slot_id, secret, key_file)
    return _in_keyring(slot_id, secret, f"{vault_id}/{slot_id}", keyring)


def _in_file(slot_id: str, secret: bytes, path: Path) -> Enrolment:
    keyfile.write_secret_file(path, keyfile.encode_key(secret))
    return Enrolment(slot_id, SlotKind.FILE, secret, detail=str(path), undo=lambda: path.unlink(missing_ok=True))


def _in_keyring(slot_id: str, secret: bytes, account: str, keyring: OsKeyring) -> Enrolment:
    backend = keyring.store(account, secret)
    params = json.dumps({"backend": backend, "account": account}, sort_keys=True)
    undo = partial(keyring.remove, backend, account)
    return Enrolment(slot_id, SlotKind.KEYRING, secret, params, f"{backend} keyring", undo=undo)


def withdraw(vault_id: str, stored: StoredSlot, keyring: OsKeyring) -> bool:
    """Remove a deleted slot's secret from where it was kept; whether that worked. A key file that holds another key
    stays: it would be refused at the next unlock, but it is not ours to delete."""
    try:
        if stored.slot.kind is SlotKind.KEYRING:
            return keyring.remove(*keyring_place(stored))
        if stored.slot.kind is SlotKind.FILE:
            return _remove_key_file(vault_id, stored)
    except GatewayError:  # the slot is gone already, so what remains opens nothing; the caller says so
        return False
    return True


def _remove_key_file(vault_id: str, stored: StoredSlot) -> bool:
    path = Path(stored.slot.detail)
    data = keyfile.read_secret_file(path)
    if data is None:
        return True
    slots.unwrap(vault_id, stored, keyfile.decode_key(data, str(path)))
    try:
        path.unlink()
    except OSError:  # a read-only directory; the caller says that the file is still there
        return False
    return True
