"""One serving process a home: a second one would close the first one's open attempts and split its limits.

SQLite: an exclusive lock on a file in the state directory. PostgreSQL: a session-level advisory lock in the database
itself, so that two machines see each other. Both end with the process, however it ends. What replaces or changes the
whole database holds the same lock, so that nothing is served from it meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from keyvault.errors import Conflict
from keyvault.settings import Paths, Settings
from keyvault.storage.engine import Database, sqlite_path


@contextlib.contextmanager
def serving_lock(settings: Settings, paths: Paths) -> Iterator[None]:
    """Hold the home's serving lock. Raises `Conflict` where another process holds it."""
    with _on_file(paths) if sqlite_path(settings.database_url) else _in_database(settings.database_url) as held:
        if not held:
            raise Conflict(
                "another gateway is serving this home", hint="stop it first, or set GWCTL_HOME to another home"
            )
        yield


@contextlib.contextmanager
def _on_file(paths: Paths) -> Iterator[bool]:
    paths.make()
    descriptor = os.open(paths.lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _in_database(url: str) -> Iterator[bool]:
    database = Database(url)
    try:
        with database.advisory_lock("serve") as held:
            yield held
    finally:
        database.close()
