"""The audit table: rows in, rows out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import audit


def last(tx: Transaction) -> tuple[int, bytes]:
    """Sequence number and digest of the newest row; (0, 32 zero bytes) when there is none."""
    row = tx.execute(sa.select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1)).first()
    return (row.seq, bytes(row.digest)) if row else (0, bytes(32))


def insert(tx: Transaction, row: Mapping[str, Any]) -> None:
    tx.execute(sa.insert(audit).values(dict(row)))


def newest(tx: Transaction, limit: int) -> list[Mapping[str, Any]]:
    """The newest rows, newest first, as mappings of the table's columns."""
    rows = tx.execute(sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows]


def oldest_first(tx: Transaction) -> list[Mapping[str, Any]]:
    rows = tx.execute(sa.select(audit).order_by(audit.c.seq)).mappings()
    return [dict(row) for row in rows]
