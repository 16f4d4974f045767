"""Backups of a whole home, and what comes back from them.

A backup holds the database as it stood at one moment and `config.toml`, in one file, and nothing that opens the vault.
Coming back from an older one never gives access that was taken away since: see `replay`.
"""

from __future__ import annotations

from keyvault.backup.archive import Manifest
from keyvault.backup.making import Made, make
from keyvault.backup.restoring import Restored, restore
from keyvault.backup.verifying import Verified, verify

__all__ = ["Made", "Manifest", "Restored", "Verified", "make", "restore", "verify"]
