"""Delivers a secret into a file, so that whoever reads it finds the old one or the new one, never half of one.

The new content is written beside the file, 0600, made durable and renamed into its place. A symbolic link is replaced,
never followed; a device or a pipe is refused. The file's owner stays, and its mode where nobody else may read. What was
there before is kept beside it until the new secret is acknowledged, and put back where it is not.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyvault.errors import UsageError
from keyvault.files import sync
from keyvault.keys.delivery import DeliveryFailed
from keyvault.keys.filing import Form
from keyvault.keys.locks import Locks
from keyvault.keys.rotation import Rotation, UnderWay
from keyvault.secrets import Secret

LARGEST_FILE: Final = 1024 * 1024
PRIVATE: Final = 0o600
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class FileDelivery:
    """A file of its own (`--out`) or a line of one (`--env-file`)."""

    visible = True

    def __init__(self, path: Path, form: Form, locks: Locks, wait: timedelta) -> None:
        self.path = path
        self._form = form
        self._locks = locks
        self._wait = wait
        self._new = path.with_name(f".{path.name}.gwctl-new")
        self._old = path.with_name(f".{path.name}.gwctl-old")
        self._existed = True
        """Whether there was anything before."""
        self._placed = False
        """Whether the file may hold a new secret."""

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        with self._locks.file(self.path, self._wait) as held:
            if not held:
                raise UnderWay(f"{self.path} is being changed by another rotation", hint="--wait-lock 5m")
            yield

    def check(self) -> None:
        if not self.path.parent.is_dir():
            raise UsageError(f"{self.path.parent}: no such directory", hint=f"mkdir -m 700 {self.path.parent}")
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise DeliveryFailed(f"{self.path.parent}: cannot be written to", hint=f"ls -ld {self.path.parent}")
        if self.path.exists() and not self.path.is_file():
            raise UsageError(f"{self.path}: not a regular file", hint="-o secret, for a pipe")
        if self.path.is_symlink() and not self._form.whole:
            hint = f"--env-file {self.path.resolve()}"
            raise UsageError(f"{self.path}: a symbolic link, and lines are not changed through one", hint=hint)
        self._content()

    def held(self) -> Secret | None:
        content = self._content()
        return None if content is None else self._form.find(content)

    def resume(self) -> None:
        self._placed = True

    def steps(self, rotation: Rotation) -> Iterator[str]:
        assert rotation.secret is not None
        self._existed, self._placed = os.path.lexists(self.path), False
        self._keep()
        yield "kept the old content"
        self._write(self._new, self._form.put(self._content() or b"", rotation.secret))
        yield "wrote the new content"
        self._placed = True
        self._new.rename(self.path)
        yield "put it in its place"
        sync(self.path.parent)
        yield "made it durable"

    def undo(self) -> None:
        """Only what was delivered is taken back: lines that others changed meanwhile stay."""
        if self._placed:
            self._put_back()
            sync(self.path.parent)
        self.done()

    def _put_back(self) -> None:
        if not self._existed:
            self.path.unlink(missing_ok=True)
        elif self._form.whole or (before := self._read(self._old)) is None:
            self._old.rename(self.path)  # fails, and says so, where nothing was kept
        else:
            self._write(self._new, self._form.back(self._content() or b"", before))
            self._new.rename(self.path)

    def done(self) -> None:
        for beside in (self._new, self._old):
            beside.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Keep what is there, a symbolic link as a link; what an earlier run left is out of date."""
        self.done()
        if self.path.is_symlink():
            self._old.symlink_to(self.path.readlink())
        elif (content := self._content()) is not None:
            self._write(self._old, content)

    def _write(self, path: Path, content: bytes) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, _NEW, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            self._dress(descriptor)
            file.write(content)
            file.flush()
            os.fsync(descriptor)

    def _dress(self, descriptor: int) -> None:
        """Give a new file the owner of the old one, and its mode where that lets nobody else in."""
        mode = PRIVATE
        with contextlib.suppress(FileNotFoundError):
            old, new = os.lstat(self.path), os.fstat(descriptor)
            if stat.S_ISREG(old.st_mode):
                if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
                    os.fchown(descriptor, old.st_uid, old.st_gid)
                mode = stat.S_IMODE(old.st_mode) if not old.st_mode & 0o7177 else PRIVATE
        os.fchmod(descriptor, mode)

    def _content(self) -> bytes | None:
        return self._read(self.path)

    def _read(self, path: Path) -> bytes | None:
        """A regular file's content; None for a link or where there is nothing."""
        if path.is_symlink():
            return None
        try:
            descriptor = os.open(path, _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot("read", path, error) from None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(f"{path}: larger than 1 MiB, which no file of secrets is")
        return content


def _cannot(what: str, path: Path, error: OSError) -> DeliveryFailed:
    return DeliveryFailed(f"{path}: cannot be {what}: {os.strerror(error.errno or 0).lower()}")
