"""Takes a backup: a snapshot of the database beside the target, packed, opened again and checked, then put in place.

Whatever fails leaves an earlier backup of that name as it was. The proxy may run; it is not slowed by more than the
reading.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from keyvault.backup import archive
from keyvault.backup.archive import Manifest
from keyvault.backup.verifying import Verified, verify
from keyvault.errors import Conflict, UsageError
from keyvault.files import private, sync
from keyvault.home import Home
from keyvault.storage import audit as audit_rows
from keyvault.storage import migrations, snapshot
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was taken and verified."""

    path: Path
    size_bytes: int
    took_seconds: float
    verified: Verified


def make(home: Home, target: Path, *, force: bool = False) -> Made:
    """Take a backup into a file, or into a directory under a name with the time.

    Raises `Conflict` for a file that exists unless `force`, `UsageError` for a directory that does not.
    """
    began = home.clock.monotonic()
    path = _named(home, target)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=path.parent) as work:
        copy, packed = Path(work) / archive.DATABASE, Path(work) / path.name
        snapshot.save(home.database, copy)
        with private(packed) as file:
            archive.pack(file, path.name, _manifest(home, copy), home.paths.config_file, copy)
        copy.unlink()
        verified = verify(home, packed)
        size = packed.stat().st_size
        _publish(packed, path, force=force)
    return Made(path, size, home.clock.monotonic() - began, verified)


def target_of(home: Home, target: Path, *, force: bool) -> Path:
    """Where a backup would go. Raises what `make` would before it begins."""
    path = _named(home, target)
    if not force and os.path.lexists(path):
        raise _exists(path)
    return path


def _named(home: Home, target: Path) -> Path:
    if target.is_dir():
        target = target / f"gwctl-{home.clock.now():%Y%m%dT%H%M%SZ}.tar"
    if not target.absolute().parent.is_dir():
        raise UsageError(f"no such directory: {target.absolute().parent}", hint=f"mkdir -p {target.absolute().parent}")
    return target.absolute()


def _exists(path: Path) -> Conflict:
    return Conflict(f"{path} exists already and is left as it is", hint="name a new file, or add --force")


def _publish(packed: Path, path: Path, *, force: bool) -> None:
    """Give the finished file its name; a link by that name is replaced, not followed."""
    if force:
        packed.replace(path)
    else:
        try:
            os.link(packed, path)
        except FileExistsError:
            raise _exists(path) from None
    sync(path.parent)


def _manifest(home: Home, copy: Path) -> Manifest:
    """Read from the copy, so that it says what is in it and not what came after."""
    database = Database(f"sqlite:///{copy}")
    try:
        with database.read() as tx:
            seq, digest = audit_rows.last(tx)
            vault_id = vault_rows.fact(tx, "vault_id") or ""
        schema = migrations.revision(database) or ""
    finally:
        database.close()
    return Manifest(
        program=version("opsconsole"),
        schema=schema,
        vault_id=vault_id,
        audit_seq=seq,
        audit_digest=digest.hex(),
        created_at=home.clock.now(),
        kind="sqlite" if home.database.is_sqlite else "postgresql",
        database_bytes=copy.stat().st_size,
        database_sha256=archive.sha256(copy),
        config_sha256=archive.sha256(home.paths.config_file),
    )
