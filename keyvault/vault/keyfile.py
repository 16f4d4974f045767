"""Key files: 32 secret bytes on disk, read only when nobody else could have read or placed them.

Strict: opened without following a symbolic link, a regular file of one link, owned by this user or root, no group or
other permission. Managed, for what Kubernetes and systemd mount: links are followed and others may read, but not
write. Written as 64 hexadecimal digits; read as those, as base64, or as 32 raw bytes.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

from keyvault.errors import Conflict, Locked, Unavailable, UsageError
from keyvault.files import private, sync

KEY_BYTES: Final = 32
MAX_FILE_BYTES: Final = 4096
_HEX = re.compile(rb"[0-9A-Fa-f]{64}\Z")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{43}=?\Z")


def read_secret_file(path: Path, *, managed: bool = False) -> bytes | None:
    """The content of a key file, None when there is no such file. Raises `Locked` with the exact reason."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if managed else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENOENT and not path.is_symlink():
            return None
        raise Locked(f"key file {path}: {_open_failure(error)}") from None
    try:
        _check(path, os.fstat(descriptor), managed)
        return read_limited(descriptor, f"key file {path}")
    finally:
        os.close(descriptor)


def read_limited(descriptor: int, source: str) -> bytes:
    """Everything a descriptor gives, up to the size of a key file. Raises `Locked` naming the source."""
    data = b""
    while len(data) <= MAX_FILE_BYTES:
        try:
            piece = os.read(descriptor, MAX_FILE_BYTES + 1 - len(data))
        except OSError as error:
            raise Locked(f"{source}: cannot be read: {os.strerror(error.errno or 0).lower()}") from None
        if not piece:
            return data
        data += piece
    raise Locked(f"{source}: longer than {MAX_FILE_BYTES} bytes, which is no unlock secret")


def decode_key(data: bytes, source: str) -> bytes:
    """The 32 bytes a key file's content stands for. Raises `Locked` naming the source, never showing the content."""
    for ending in (b"", b"\n", b"\r\n"):  # raw: never stripped further, since a random key may begin or end in a space
        if len(data) == KEY_BYTES + len(ending) and data.endswith(ending):
            return data[:KEY_BYTES]
    text = data.strip()
    if _HEX.match(text):
        return bytes.fromhex(text.decode())
    if _BASE64.match(text):
        with contextlib.suppress(binascii.Error):  # falls through to the message below
            return base64.b64decode(text.ljust(44, b"="), altchars=b"-_" if set(text) & set(b"-_") else None)
    raise Locked(
        f"{source}: expected {KEY_BYTES} bytes, found {len(text)}",
        hint="a key is 32 raw bytes, 64 hexadecimal digits or base64 of 32 bytes",
    )


def encode_key(key: bytes) -> bytes:
    return key.hex().encode() + b"\n"


def write_secret_file(path: Path, content: bytes) -> None:
    """Write a new file 0600, durably. Never overwrites, never follows a link. Raises `Conflict`, `UsageError` or
    `Unavailable`."""
    try:
        with private(path) as file:
            file.write(content)
        sync(path.parent)
    except FileExistsError:
        raise Conflict(f"{path} exists already and is not overwritten", hint=f"mv {path} {path}.old") from None
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"no such directory: {path.parent}", hint=f"mkdir -m 700 {path.parent}") from None
    except OSError as error:
        raise Unavailable(f"{path}: cannot be written: {os.strerror(error.errno or 0).lower()}") from None


def _check(path: Path, found: os.stat_result, managed: bool) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise Locked(f"key file {path}: not a regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise Locked(f"key file {path}: owned by another user (uid {found.st_uid})")
    if managed:
        if mode & 0o022:
            raise Locked(f"key file {path}: others may write it (mode {mode:04o})")
        return
    if mode & 0o077:
        raise Locked(f"key file {path}: others may read or write it (mode {mode:04o})", hint=f"chmod 600 {path}")
    if found.st_nlink != 1:
        raise Locked(f"key file {path}: it has {found.st_nlink} links, so it can be read under another name")


def _open_failure(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a symbolic link"
    if error.errno == errno.ENXIO:
        return "not a regular file"
    return os.strerror(error.errno or 0).lower()
