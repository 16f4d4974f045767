"""Brings a database to this program's schema, and refuses one that is newer.

The steps live in `versions/` and ship in the wheel. SQLite is upgraded at the next start, after a copy of the file was
put aside; PostgreSQL only when asked (`gwctl db migrate`). Alembic is imported only when there is something to do.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from keyvault.errors import ConfigurationError, FormatTooNew
from keyvault.storage.engine import Database, Transaction, sqlite_module

HEAD: Final = "0007"
"""The newest revision in `versions/`; a test compares the two."""


def revision(database: Database) -> str | None:
    """The schema revision of a database, None when it is empty."""
    with database.read() as tx:
        if not sa.inspect(tx).has_table("alembic_version"):
            return None
        return str(tx.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())


def ensure(database: Database) -> None:
    """Check, and on SQLite upgrade, the schema at start. Raises `FormatTooNew` or `ConfigurationError`."""
    found = revision(database)
    if found is not None and found < HEAD and not database.is_sqlite:
        raise ConfigurationError(f"the database has schema {found}, this program needs {HEAD}", hint="gwctl db migrate")
    _migrate(database, found)


def migrate(database: Database) -> None:
    """Bring either database to this program's schema, SQLite after a copy was put aside. Raises `FormatTooNew`."""
    _migrate(database, revision(database))


def _migrate(database: Database, found: str | None) -> None:
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise FormatTooNew(f"the database was written by a newer version (schema {found}, this program knows {HEAD})")
    if found is not None and database.is_sqlite and not database.rehearsal:
        _put_aside(database, found)
    upgrade(database)


def upgrade(database: Database, to: str = "head") -> None:
    """Apply every missing step in one transaction; `to`: only as far as this revision."""
    with database.write() as tx:
        apply(tx, to)


def apply(tx: Transaction, to: str = "head") -> None:
    """Apply every missing step in a transaction that is open."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = tx
    command.upgrade(config, to)


def _put_aside(database: Database, found: str) -> None:
    """Copy the database file, consistently, to `….schema-NNNN.bak` beside it."""
    assert database.path is not None
    copy = database.path.with_suffix(f".schema-{found}.bak")
    os.close(os.open(copy, os.O_CREAT | os.O_CLOEXEC, 0o600))
    source, target = sqlite_module().connect(str(database.path)), sqlite_module().connect(str(copy))
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
