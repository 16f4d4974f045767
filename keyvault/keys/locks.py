"""Locks that live as long as the process that holds them: one rotation of a key at a time, one change of a file.

On SQLite a lock is a file in the state directory under `flock`, on PostgreSQL a session's advisory lock, so that two
machines see each other. Either is free again when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyvault.storage.engine import Database

PAUSE_SECONDS: Final = 0.1
"""Between two tries."""


class Locks:
    """Named locks of one gateway."""

    def __init__(self, database: Database, directory: Path) -> None:
        """`directory` is made when first needed."""
        self._database = database
        self._directory = directory

    @contextlib.contextmanager
    def key(self, public_id: str, wait: timedelta) -> Iterator[bool]:
        """Try for `wait` to be the only one who rotates a key; yields whether it worked."""
        with _patiently(lambda: self._key(public_id), wait) as held:
            yield held

    @contextlib.contextmanager
    def file(self, path: Path, wait: timedelta) -> Iterator[bool]:
        """Try for `wait` to be the only one here who changes a file; yields whether it worked."""
        place = hashlib.sha256(os.fsencode(path.parent.resolve() / path.name)).hexdigest()[:16]
        with _patiently(lambda: self._flock(f"file-{place}"), wait) as held:
            yield held

    @contextlib.contextmanager
    def data_keys(self, wait: timedelta) -> Iterator[bool]:
        """Try for `wait` to be the only one who rotates the vault's data keys; yields whether it worked."""
        with _patiently(lambda: self._named("data-keys"), wait) as held:
            yield held

    def _key(self, public_id: str) -> AbstractContextManager[bool]:
        return self._named(f"key-{public_id}")

    def _named(self, name: str) -> AbstractContextManager[bool]:
        if self._database.is_sqlite:
            return self._flock(name)
        return self._database.advisory_lock(f"rotate/{name}")

    @contextlib.contextmanager
    def _flock(self, name: str) -> Iterator[bool]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self._directory / f"{name}.lock", flags, 0o600)
        try:
            yield _taken(descriptor)
        finally:
            os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _patiently(attempt: Callable[[], AbstractContextManager[bool]], wait: timedelta) -> Iterator[bool]:
    """Hold what one of many attempts gets; the number of them is what `wait` allows."""
    for _ in range(int(wait.total_seconds() / PAUSE_SECONDS)):
        with attempt() as held:
            if held:
                yield True
                return
        time.sleep(PAUSE_SECONDS)
    with attempt() as held:
        yield held
