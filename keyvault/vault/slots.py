"""Slots: each holds what it opens, sealed under its own unlock secret; any one of scope `all` opens the vault.

A slot's id, kind, scope and parameters are bound into its seal, and a MAC over all slots shows one that was added,
removed or changed by somebody who can write the database but not open the vault.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from keyvault.clock import to_ms
from keyvault.domain.vault import Compartment, Slot, SlotKind, SlotScope
from keyvault.errors import Locked, Tampered, WrongKey
from keyvault.storage import vault as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.vault import StoredSlot
from keyvault.vault.generations import Access
from keyvault.vault.passphrase import Argon2Parameters, derive_secret
from keyvault.vault.sealing import derive, open_sealed, pae, seal

_PURPOSE: Final = "slot"
_GENERATION: Final = 0
_CHANGED: Final = "the vault's table of slots was changed by something else than gwctl"


@dataclass(frozen=True, slots=True)
class UnlockSecret:
    """An unlock secret as it was found, and which kinds of slots it may open."""

    source: str
    """For people: where it came from."""
    kinds: frozenset[SlotKind]
    value: bytes = field(repr=False)


def wrap(access: Access, slot: Slot, params: str, secret: bytes) -> StoredSlot:
    """A slot that opens as much as its scope says under `secret` (for a passphrase: what Argon2id made of it)."""
    sealed = seal(secret, _GENERATION, _PURPOSE, _identity(access.vault_id, slot, params), access.key_for(slot.scope))
    return StoredSlot(slot, params, sealed)


def open_first(vault_id: str, stored: Sequence[StoredSlot], secret: UnlockSecret) -> tuple[Slot, Access]:
    """Open the first slot that the secret fits. Raises `WrongKey` naming the source, `Tampered` naming the slot."""
    for candidate in stored:
        if candidate.slot.kind in secret.kinds:
            try:
                return candidate.slot, unwrap(vault_id, candidate, secret.value)
            except WrongKey:
                continue
    raise WrongKey(f"{secret.source}: it opens no slot of this vault", hint="gwctl vault slots list")


def unwrap(vault_id: str, stored: StoredSlot, secret: bytes) -> Access:
    """What one slot opens. Raises `WrongKey`, or `Tampered` naming the slot."""
    slot = stored.slot
    if slot.kind is SlotKind.PASSPHRASE:
        secret = derive_secret(secret, Argon2Parameters.from_json(stored.params))
    try:
        ad = _identity(vault_id, slot, stored.params)
        return Access(vault_id, slot.scope, open_sealed({_GENERATION: secret}, _PURPOSE, ad, stored.wrapped))
    except Tampered:
        raise Tampered(f"slot {slot.id} of the vault was changed", hint="unlock with another slot") from None


def read_table(tx: Transaction) -> list[StoredSlot]:
    """All slots. Raises `Tampered` for one that this program cannot have written, `Locked` when there is none."""
    try:
        stored = rows.slots(tx)
    except ValueError:
        raise Tampered(_CHANGED) from None
    if not stored:
        raise Locked("the vault has no slots left, so nothing can open it", hint="restore the database from a backup")
    return stored


def seal_table(tx: Transaction, access: Access) -> None:
    """Write the MACs of the table as it is now; needs an access of scope `all`."""
    stored = rows.slots(tx)
    for scope in SlotScope:
        rows.set_fact(tx, _fact(scope), _mac(access, scope, stored))


def check_table(tx: Transaction, access: Access, stored: Sequence[StoredSlot]) -> None:
    """Raise `Tampered` unless the table is as it was last sealed."""
    reachable = tuple(SlotScope) if access.scope is SlotScope.ALL else (SlotScope.KEYS,)
    for scope in reachable:
        written = rows.fact(tx, _fact(scope)) or ""
        if not hmac.compare_digest(written.encode(), _mac(access, scope, stored).encode()):
            raise Tampered(_CHANGED, hint="restore the database from a backup")


def _mac(access: Access, scope: SlotScope, stored: Sequence[StoredSlot]) -> str:
    """One MAC for each scope, so that an access of scope `keys` can check the table but not vouch for it to others."""
    secret = access.key_for(SlotScope.ALL) if scope is SlotScope.ALL else access.compartment_key(Compartment.KEYS)
    table = pae(access.vault_id.encode(), *(_row(s) for s in sorted(stored, key=lambda s: s.slot.id)))
    return hmac.new(derive(secret, "slot-table"), table, sha256).hexdigest()


def _row(stored: StoredSlot) -> bytes:
    slot = stored.slot
    texts = (slot.id, slot.kind.value, slot.scope.value, stored.params, slot.detail, str(to_ms(slot.created_at)))
    return pae(*(text.encode() for text in texts), stored.wrapped)


def _identity(vault_id: str, slot: Slot, params: str) -> bytes:
    return pae(*(text.encode() for text in (vault_id, slot.id, slot.kind.value, slot.scope.value, params)))


def _fact(scope: SlotScope) -> str:
    return f"slot_table_mac.{scope.value}"
