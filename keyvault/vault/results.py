"""What the vault's operations give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from keyvault.domain.vault import Compartment, DataKey, Slot
from keyvault.secrets import Secret
from keyvault.storage.peppers import StoredPepper, Straggler


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
    peppers: tuple[StoredPepper, ...]
    """Oldest first."""
    last_done: Mapping[str, datetime | None]
    """Duty → when it was last done, None: never. The duties are those of `keyvault.vault.history`."""

    @property
    def old_pepper_tokens(self) -> int:
        """Usable tokens that have not moved to the newest pepper yet."""
        return sum(pepper.tokens for pepper in self.peppers[:-1])


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source of unlock secrets had to say."""

    name: str
    outcome: str
    """`used`, `absent`, `refused` or `not asked`."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class DataKeyRotation:
    """What a rotation of one compartment's data key did. When nothing `changed`, `reason` says why."""

    compartment: Compartment
    generation: int
    """What seals new records now."""
    changed: bool
    resumed: bool = False
    """It finished what an earlier rotation began."""
    rewrapped: int = 0
    destroyed: tuple[int, ...] = ()
    left: tuple[str, ...] = ()
    """Ids of records that do not open: they are as they were, and so is the generation they name."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedPepper:
    """Peppers that were destroyed, and the tokens that stopped working with them."""

    destroyed: tuple[int, ...]
    lost: tuple[Straggler, ...]
