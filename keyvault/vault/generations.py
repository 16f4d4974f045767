"""The hierarchy below an unlock secret: root key → compartment keys → data keys, one generation after another.

A slot of scope `all` holds the root key; a slot of scope `keys` holds only the key of the `keys` compartment, from
which neither the root key nor a provider secret can be reached. Data keys are sealed under their compartment's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from keyvault.domain.vault import Compartment, DataKey, SlotScope
from keyvault.errors import Locked, Tampered, WrongKey
from keyvault.storage.vault import DESTROYED, PRIMARY, StoredDataKey
from keyvault.vault.sealing import derive, open_sealed, pae, seal

_PURPOSE: Final = "data-key"
_ROOT_GENERATION: Final = 0


@dataclass(frozen=True, slots=True)
class Access:
    """What an unlock secret opened."""

    vault_id: str
    scope: SlotScope
    key: bytes = field(repr=False)
    """The root key, or with scope `keys` that compartment's key."""

    @property
    def compartments(self) -> tuple[Compartment, ...]:
        return tuple(Compartment) if self.scope is SlotScope.ALL else (Compartment.KEYS,)

    def key_for(self, scope: SlotScope) -> bytes:
        """What a slot of that scope must hold. Raises `Locked` where this access does not reach so far."""
        if scope is self.scope:
            return self.key
        if self.scope is SlotScope.KEYS:
            raise Locked("the unlock secret opens only the keys compartment", hint="use one of a slot with scope all")
        return self.compartment_key(Compartment.KEYS)

    def compartment_key(self, compartment: Compartment) -> bytes:
        if self.scope is SlotScope.KEYS:
            return self.key_for(SlotScope.KEYS if compartment is Compartment.KEYS else SlotScope.ALL)
        return derive(self.key, f"compartment/{compartment.value}")


@dataclass(frozen=True, slots=True)
class DataKeys:
    """The opened data keys by number, and which one seals new records of each compartment."""

    by_number: Mapping[int, bytes] = field(repr=False)
    primary: Mapping[Compartment, int]


def new_data_key(access: Access, number: int, compartment: Compartment, key: bytes, now: datetime) -> StoredDataKey:
    """Seal a fresh data key as the primary of its compartment."""
    ad = _identity(access, number, compartment)
    wrapped = seal(access.compartment_key(compartment), _ROOT_GENERATION, _PURPOSE, ad, key)
    return StoredDataKey(DataKey(number, compartment, PRIMARY, now), wrapped)


def open_data_keys(access: Access, stored: Iterable[StoredDataKey]) -> DataKeys:
    """Open every data key within reach. Raises `Tampered` naming one that was changed."""
    by_number: dict[int, bytes] = {}
    primary: dict[Compartment, int] = {}
    for row in stored:
        key = row.data_key
        if key.compartment not in access.compartments or key.state == DESTROYED:
            continue
        by_number[key.number] = _open(access, row)
        if key.state == PRIMARY:
            primary[key.compartment] = key.number
    return DataKeys(by_number, primary)


def _open(access: Access, row: StoredDataKey) -> bytes:
    number, compartment = row.data_key.number, row.data_key.compartment
    keys = {_ROOT_GENERATION: access.compartment_key(compartment)}
    try:
        return open_sealed(keys, _PURPOSE, _identity(access, number, compartment), row.wrapped)
    except (WrongKey, Tampered):
        raise Tampered(
            f"data key {number} of the vault was changed", hint="restore the database from a backup"
        ) from None


def _identity(access: Access, number: int, compartment: Compartment) -> bytes:
    return pae(access.vault_id.encode(), str(number).encode(), compartment.value.encode())
