"""New secrets, one private file each in a private directory.

The files are written before the keys are on record, and taken away again when that fails: at no time is there a key
whose secret nobody has. A file that a killed run left behind holds a secret that opens nothing; the next run
replaces it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Final

from keyvault.domain.keys import Key
from keyvault.errors import UsageError
from keyvault.files import replace
from keyvault.secrets import Secret

SUFFIX: Final = ".key"


class SecretFiles:
    """A directory that takes secrets. Use it as a context manager around the change that makes the keys."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.written: list[Path] = []

    def __enter__(self) -> SecretFiles:
        """Make the directory where it is missing. Raises `UsageError` for one that others may enter."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(self._directory)
        if not stat.S_ISDIR(found.st_mode):
            raise UsageError(f"{self._directory}: not a directory", hint="name a directory of its own")
        if found.st_mode & 0o077 or found.st_uid != os.geteuid():
            raise UsageError(f"{self._directory}: others may enter it", hint=f"chmod 700 {self._directory}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for path in self.written:
                path.unlink(missing_ok=True)
            self.written.clear()

    def deliver(self, key: Key, secret: Secret) -> None:
        """Write `NAME.key`, durable when this returns. What was there under that name is replaced, never followed."""
        path = self._directory / f"{key.name}{SUFFIX}"
        replace(path, f"{secret.reveal()}\n".encode())
        self.written.append(path)
