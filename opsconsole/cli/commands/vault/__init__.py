"""`gwctl vault`: how the vault opens, what is in it, and the rotation of the keys below it."""

from __future__ import annotations

from opsconsole.cli.commands.vault import opening, resealing, rotation, slots, status
from opsconsole.cli.commands.vault.noun import RecoveryOut, new_passphrase, slot_row, vault

__all__ = ["RecoveryOut", "new_passphrase", "opening", "resealing", "rotation", "slot_row", "slots", "status"]

app = vault.app
