"""Whether this process may serve the home: nobody else does, and the SQLite build is one that two processes can use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from keyvault.errors import ConfigurationError
from keyvault.home import Home
from keyvault.storage.engine import sqlite_is_sound, sqlite_module
from keyvault.storage.exclusive import serving_lock


@contextlib.contextmanager
def only_server(home: Home) -> Iterator[None]:
    """Hold the home's serving lock. Raises `Conflict` where another process holds it."""
    if home.database.is_sqlite:
        _check_sqlite(home)
    with serving_lock(home.settings, home.paths):
        yield


def _check_sqlite(home: Home) -> None:
    """Two processes write the database, the proxy and `gwctl`: that needs a build without the WAL-reset bug."""
    found = sqlite_module().sqlite_version_info
    if not sqlite_is_sound(found) and not home.settings.allow_unsound_sqlite:
        raise ConfigurationError(
            f"SQLite {'.'.join(map(str, found))} can corrupt a database that two processes write",
            hint="pip install pysqlite3, or set database.allow_unsound_sqlite",
        )
