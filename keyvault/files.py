"""Files that must be private and on the disk: new ones are 0600 and never follow a link, the old ones stay until the
new are whole.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from keyvault.errors import Conflict, UsageError

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def private(path: Path) -> Iterator[IO[bytes]]:
    """A new file for this user alone, on the disk when the block ends; gone when it fails. Raises `FileExistsError`."""
    with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def asked_for(path: Path) -> Iterator[IO[bytes]]:
    """A new private file that a person named. Raises `Conflict` where there is one, `UsageError` where none can be."""
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory", hint="name a file in a directory that exists")
    try:
        with private(path) as file:
            yield file
    except FileExistsError:
        raise Conflict(f"{path}: exists already", hint="name another file") from None
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or type(error).__name__).lower()}") from None


@contextlib.contextmanager
def prepared(path: Path, content: bytes) -> Iterator[None]:
    """Write a private file beside its place, and put it there, durably, when the block succeeds; when it fails, what
    was there stays. A link of that name is replaced."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    try:
        with private(beside) as file:
            file.write(content)
        yield
        beside.rename(path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def replace(path: Path, content: bytes) -> None:
    """Put a private file in its place, durably: at every instant there is the old one or the new one."""
    with prepared(path, content):
        pass


def sync(path: Path) -> None:
    """See that a file, or what a directory says of its files, survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
