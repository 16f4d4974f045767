"""The file a backup is: a tar, plain or gzip, of `manifest.json`, `config.toml` and `database.sqlite`, in this order.

The manifest says what the others must be, digests included. A file is read as if somebody hostile had made it: nothing
but the three members, all plain files, none larger than announced.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from keyvault.clock import rfc3339
from keyvault.errors import Damaged, FormatTooNew, UsageError
from keyvault.files import private

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.toml"
DATABASE: Final = "database.sqlite"
_FIRST_SEALED: Final = "0002"
_LARGEST_TEXT: Final = 1 << 20
_COMPRESSED: Final = (".gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    program: str
    """Version of the program that made it."""
    schema: str
    vault_id: str
    audit_seq: int
    audit_digest: str
    """Where its audit log ends: number and digest (hex) of the last entry."""
    created_at: datetime
    kind: str
    """The database it was taken from: `sqlite` or `postgresql`."""
    database_bytes: int
    database_sha256: str
    config_sha256: str

    @property
    def sealed(self) -> bool:
        """Whether the vault vouches for its rows: the first schema knew no seals."""
        return self.schema >= _FIRST_SEALED


def pack(target: IO[bytes], name: str, manifest: Manifest, config: Path, database: Path) -> None:
    """Write a backup; `name` decides whether it is compressed."""
    how: dict[str, Any] = {"mode": "w"}
    if name.endswith(_COMPRESSED):
        how = {"mode": "w:gz", "compresslevel": 6}  # 9, the default, takes twice as long for 2 % less
    moment = int(manifest.created_at.timestamp())
    with tarfile.open(fileobj=target, **how) as tar:
        written = {"format": FORMAT, **asdict(manifest), "created_at": rfc3339(manifest.created_at)}
        text = json.dumps(written, indent=2).encode() + b"\n"
        for member, size in ((MANIFEST, len(text)), (CONFIG, None), (DATABASE, None)):
            path = {CONFIG: config, DATABASE: database}.get(member)
            info = tarfile.TarInfo(member)
            info.mode, info.mtime = 0o600, moment
            if path is None:
                info.size = size or 0
                tar.addfile(info, _bytes(text))
            else:
                info.size = path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(info, file)


def opened(path: Path) -> IO[bytes]:
    """A backup that a person named. Raises `UsageError` for what cannot be read; never waits for a pipe."""
    try:
        return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"{path}: {reason}", hint="name the backup's file") from None


def unpack(path: Path, config: Path, database: Path) -> Manifest:
    """Write what a backup holds to two new, private files. Raises `Damaged`, `FormatTooNew`, `UsageError`."""
    try:
        with opened(path) as file, tarfile.open(fileobj=file, mode="r:*") as tar:
            manifest = _manifest(_text(tar, MANIFEST))
            config_sha256 = _extract(tar, CONFIG, config, _LARGEST_TEXT)
            database_sha256 = _extract(tar, DATABASE, database, manifest.database_bytes)
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: not a whole backup: {error or type(error).__name__}") from None
    if (config_sha256, database_sha256) != (manifest.config_sha256, manifest.database_sha256):
        raise Damaged(f"{path}: its content is not what its manifest says")
    return manifest


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes(text: bytes) -> IO[bytes]:
    import io

    return io.BytesIO(text)


def _next(tar: tarfile.TarFile, name: str, largest: int) -> IO[bytes]:
    member = tar.next()
    if member is None or member.name != name or not member.isreg() or member.size > largest:
        raise tarfile.TarError(f"no {name} where it should be")
    found = tar.extractfile(member)
    assert found is not None  # it is a regular file
    return found


def _text(tar: tarfile.TarFile, name: str) -> bytes:
    with _next(tar, name, _LARGEST_TEXT) as source:
        return source.read()


def _extract(tar: tarfile.TarFile, name: str, path: Path, largest: int) -> str:
    with _next(tar, name, largest) as source, private(path) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return sha256(path)


def _manifest(text: bytes) -> Manifest:
    written: dict[str, Any] = json.loads(text)
    if int(written.pop("format")) > FORMAT:
        raise FormatTooNew("the backup was written by a newer version of this program")
    return Manifest(**{**written, "created_at": datetime.fromisoformat(written["created_at"])})
