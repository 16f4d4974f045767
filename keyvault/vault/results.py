"""What the vault's operations give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keyvault.domain.vault import DataKey, Slot
from keyvault.secrets import Secret


@dataclass(frozen=True, slots=True)
class InitResult:
    """A vault that was made; `recovery_code` is shown once and kept nowhere."""

    vault_id: str
    slots: tuple[Slot, ...]
    recovery_code: Secret | None = None


@dataclass(frozen=True, slots=True)
class NewSlot:
    """A slot that was made; `recovery_code` is shown once and kept nowhere."""

    slot: Slot
    recovery_code: Secret | None = None


@dataclass(frozen=True, slots=True)
class DeletedSlot:
    slot: Slot
    secret_removed: bool
    """False: what opened it is still at `slot.detail` (it opens nothing any more)."""


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """What can be said without unlocking."""

    vault_id: str
    slots: tuple[Slot, ...]
    data_keys: tuple[DataKey, ...]
    records: Mapping[str, int]
    """Sealed records by purpose."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source of unlock secrets had to say."""

    name: str
    outcome: str
    """`used`, `absent`, `refused` or `not asked`."""
    why: str = ""
