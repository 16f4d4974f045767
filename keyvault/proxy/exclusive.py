"""One serving process a home: a second one would close the first one's open attempts and split its limits.

SQLite: an exclusive lock on a file in the state directory. PostgreSQL: a session-level advisory lock in the database
itself, so that two machines see each other. Both end with the process, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from keyvault.errors import ConfigurationError, Conflict
from keyvault.home import Home
from keyvault.storage.engine import sqlite_is_sound, sqlite_module


@contextlib.contextmanager
def only_server(home: Home) -> Iterator[None]:
    """Hold the home's serving lock. Raises `Conflict` where another process holds it."""
    busy = Conflict("another gateway is serving this home", hint="stop it first, or set GWCTL_HOME to another home")
    if not home.database.is_sqlite:
        with home.database.advisory_lock("serve") as held:
            if not held:
                raise busy
            yield
        return
    _check_sqlite(home)
    home.paths.make()
    descriptor = os.open(home.paths.lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
    finally:
        os.close(descriptor)


def _check_sqlite(home: Home) -> None:
    """Two processes write the database, the proxy and `gwctl`: that needs a build without the WAL-reset bug."""
    found = sqlite_module().sqlite_version_info
    if not sqlite_is_sound(found) and not home.settings.allow_unsound_sqlite:
        raise ConfigurationError(
            f"SQLite {'.'.join(map(str, found))} can corrupt a database that two processes write",
            hint="pip install pysqlite3, or set database.allow_unsound_sqlite",
        )
