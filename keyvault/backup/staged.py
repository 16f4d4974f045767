"""A backup unpacked into a home of its own, where it can be looked at, migrated and changed before anything counts.

The home lies in a private directory that is gone when the block ends. It is unlocked by whatever unlocks the home it
was asked for by.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keyvault import audit
from keyvault.backup import archive
from keyvault.backup.archive import Manifest
from keyvault.errors import Damaged, FormatTooNew
from keyvault.home import Home
from keyvault.storage import audit as audit_rows
from keyvault.storage import migrations, snapshot


@dataclass(frozen=True, slots=True)
class Staged:
    """A backup's content, checked as far as that can be done without opening the vault."""

    manifest: Manifest
    home: Home
    """Its database has this program's schema."""
    config: Path
    database: Path


@contextlib.contextmanager
def staged(home: Home, path: Path, beside: Path) -> Iterator[Staged]:
    """Unpack and check a backup in a directory in `beside`, which needs room for it.

    Raises `Damaged`, `FormatTooNew`, `Tampered`, `UsageError`.
    """
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=beside) as root:
        inside = home.elsewhere(Path(root))
        inside.paths.make()
        config, database = inside.paths.config_file, inside.paths.database_file
        manifest = archive.unpack(path, config, database)
        if manifest.schema > migrations.HEAD:
            raise FormatTooNew(
                f"{path} is of a newer version: it has schema {manifest.schema}, this program knows {migrations.HEAD}",
                hint=f"restore it with version {manifest.program} or newer",
            )
        snapshot.check(database)
        try:
            _check_audit(inside, manifest, path)
            yield Staged(manifest, inside, config, database)
        finally:
            inside.close()


def _check_audit(home: Home, manifest: Manifest, path: Path) -> None:
    with home.database.read() as tx:
        seq, digest = audit_rows.last(tx)
        broken = audit.verify(tx)
    if (seq, digest.hex()) != (manifest.audit_seq, manifest.audit_digest):
        raise Damaged(f"{path}: its audit log does not end where its manifest says")
    if broken is not None:
        raise Damaged(f"{path}: audit entry {broken} does not follow from the one before it")
