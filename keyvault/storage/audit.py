"""The audit table: rows in, rows out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from keyvault.storage.engine import Transaction, touched_rows
from keyvault.storage.schema import audit

_AT_ONCE: Final = 1000
"""Rows read by one statement."""


def last(tx: Transaction) -> tuple[int, bytes]:
    """Sequence number and digest of the newest row; (0, 32 zero bytes) when there is none."""
    row = tx.execute(sa.select(audit.c.seq, audit.c.digest).order_by(audit.c.seq.desc()).limit(1)).first()
    return (row.seq, bytes(row.digest)) if row else (0, bytes(32))


def insert(tx: Transaction, row: Mapping[str, Any]) -> None:
    touched = touched_rows(tx)
    if touched is not None:
        touched["audit", row["seq"]] = None
    tx.execute(sa.insert(audit).values(dict(row)))


def command_of(tx: Transaction) -> str:
    """What the transaction's database says is being done."""
    return str(tx.get_execution_options().get("gw_command", ""))


def digest_at(tx: Transaction, seq: int) -> bytes | None:
    """The digest of one row; 32 zero bytes for row 0, which comes before the first."""
    if seq == 0:
        return bytes(32)
    found = tx.execute(sa.select(audit.c.digest).where(audit.c.seq == seq)).scalar_one_or_none()
    return None if found is None else bytes(found)


def after(tx: Transaction, seq: int) -> Iterator[Mapping[str, Any]]:
    """The rows behind one, oldest first."""
    query = sa.select(audit).where(audit.c.seq > sa.bindparam("behind")).order_by(audit.c.seq).limit(_AT_ONCE)
    while rows := tx.execute(query, {"behind": seq}).mappings().all():
        yield from map(dict, rows)
        seq = rows[-1]["seq"]


def details(tx: Transaction, actions: Collection[str], scope: str | None = None) -> Iterator[tuple[str, str]]:
    """Scope and detail of the entries of some actions, as they are stored; of one scope, or of all."""
    query = sa.select(audit.c.scope, audit.c.detail).where(audit.c.action.in_(actions))
    if scope is not None:
        query = query.where(audit.c.scope == scope)
    return ((row.scope, row.detail) for row in tx.execute(query))


def set_macs(tx: Transaction, macs: Mapping[int, bytes]) -> None:
    """Store the MACs of entries, by sequence number."""
    if macs:
        update = sa.update(audit).where(audit.c.seq == sa.bindparam("of")).values(mac=sa.bindparam("to_mac"))
        tx.execute(update, [{"of": seq, "to_mac": mac} for seq, mac in macs.items()])


def newest(tx: Transaction, limit: int) -> list[Mapping[str, Any]]:
    """The newest rows, newest first, as mappings of the table's columns."""
    rows = tx.execute(sa.select(audit).order_by(audit.c.seq.desc()).limit(limit)).mappings()
    return [dict(row) for row in rows]


def oldest_first(tx: Transaction) -> list[Mapping[str, Any]]:
    return list(after(tx, 0))
