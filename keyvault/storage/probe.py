"""Looks at a database without changing it: whether it is whole, and whether it takes writes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc

from keyvault.errors import Unavailable
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.schema import epochs


def damage(database: Database) -> str | None:
    """The first thing SQLite finds broken in its file, None where it is whole. PostgreSQL looks after its own."""
    if not database.is_sqlite:
        return None
    with database.read() as tx:
        found = str(tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
    return None if found == "ok" else " ".join(found.split())


def write(database: Database, patience_ms: int) -> None:
    """Write a row as it is and roll back. Raises `Unavailable` where that fails or a lock is held for longer."""
    with database.read() as tx:
        _be_patient(tx, database, patience_ms)
        try:
            tx.execute(sa.update(epochs).values({epochs.c["keys"]: epochs.c["keys"]}))
        except exc.DatabaseError as error:
            reason = str(error.orig).strip().splitlines()[0]
            raise Unavailable(f"the database cannot be written: {reason}") from None
        finally:
            tx.rollback()
            _be_patient(tx, database, database.busy_timeout_ms)


def _be_patient(tx: Transaction, database: Database, ms: int) -> None:
    """SQLite's connections are kept, so theirs is set back; PostgreSQL's ends with the transaction."""
    tx.exec_driver_sql(f"PRAGMA busy_timeout={ms}" if database.is_sqlite else f"SET LOCAL lock_timeout={ms}")
