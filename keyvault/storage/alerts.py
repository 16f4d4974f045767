"""The alerts table: rows in, domain values out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.alerts import Alert
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import alerts

_OPEN = alerts.c.resolved_ms.is_(None)


def repeat(tx: Transaction, kind: str, scope: str, text: str, at_ms: int) -> bool:
    """Count an open alert once more, with its newest text; False where none is open."""
    one = (alerts.c.kind == kind) & (alerts.c.scope == scope) & _OPEN
    changes = {"text": text, "last_ms": at_ms, "count": alerts.c.count + 1}
    return tx.execute(sa.update(alerts).where(one).values(changes)).rowcount > 0


def insert(tx: Transaction, kind: str, scope: str, text: str, at_ms: int) -> None:
    tx.execute(sa.insert(alerts).values(kind=kind, scope=scope, text=text, first_ms=at_ms, last_ms=at_ms))


def resolve(tx: Transaction, kind: str, scope: str, at_ms: int) -> bool:
    """Close an open alert; whether there was one."""
    one = (alerts.c.kind == kind) & (alerts.c.scope == scope) & _OPEN
    return tx.execute(sa.update(alerts).where(one).values(resolved_ms=at_ms)).rowcount > 0


def newest(tx: Transaction, limit: int, *, resolved: bool) -> list[Alert]:
    """The newest alerts first; only open ones unless `resolved`."""
    query = sa.select(alerts).order_by(alerts.c.last_ms.desc(), alerts.c.id.desc()).limit(limit)
    return [_alert(row) for row in tx.execute(query if resolved else query.where(_OPEN))]


def _alert(row: sa.Row[Any]) -> Alert:
    return Alert(
        id=row.id,
        kind=row.kind,
        scope=row.scope,
        text=row.text,
        first_at=from_ms(row.first_ms),
        last_at=from_ms(row.last_ms),
        count=row._mapping["count"],
        resolved_at=None if row.resolved_ms is None else from_ms(row.resolved_ms),
    )
