"""The alerts table: rows in, domain values out.

A row with a `due_ms` is owed to the webhook: from when it was raised, and again from when it was resolved, until it was
taken or given up.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.alerts import Alert
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import alerts

_OPEN = alerts.c.resolved_ms.is_(None)
_LAST_OPEN = Prepared(sa.select(sa.func.max(alerts.c.id)).where(_OPEN))


def repeat(tx: Transaction, kind: str, scope: str, text: str, at_ms: int) -> bool:
    """Count an open alert once more, with its newest text; False where none is open."""
    one = (alerts.c.kind == kind) & (alerts.c.scope == scope) & _OPEN
    changes = {"text": text, "last_ms": at_ms, "count": alerts.c.count + 1}
    return tx.execute(sa.update(alerts).where(one).values(changes)).rowcount > 0


def insert(tx: Transaction, kind: str, scope: str, text: str, at_ms: int) -> None:
    row = {"kind": kind, "scope": scope, "text": text, "first_ms": at_ms, "last_ms": at_ms, "due_ms": at_ms}
    tx.execute(sa.insert(alerts).values(row))


def resolve(tx: Transaction, kind: str, scope: str, at_ms: int) -> bool:
    """Close an open alert; whether there was one."""
    return _resolve(tx, (alerts.c.kind == kind) & (alerts.c.scope == scope), at_ms)


def resolve_silent(tx: Transaction, kinds: Collection[str], since_ms: int, at_ms: int) -> bool:
    """Close the open alerts of these kinds that were not raised since; whether there were any."""
    return _resolve(tx, alerts.c.kind.in_(sorted(kinds)) & (alerts.c.last_ms < since_ms), at_ms)


def raised_since(tx: Transaction, kind: str, scope: str, since_ms: int) -> bool:
    """Whether such an alert began at or after a moment, open or not."""
    one = (alerts.c.kind == kind) & (alerts.c.scope == scope) & (alerts.c.first_ms >= since_ms)
    return tx.execute(sa.select(alerts.c.id).where(one).limit(1)).first() is not None


def newest(tx: Transaction, limit: int, *, resolved: bool) -> list[Alert]:
    """The newest alerts first; only open ones unless `resolved`."""
    query = sa.select(alerts).order_by(alerts.c.last_ms.desc(), alerts.c.id.desc()).limit(limit)
    return [_alert(row) for row in tx.execute(query if resolved else query.where(_OPEN))]


def last_open(tx: Transaction) -> int:
    """The highest id of an open alert, 0 where none is; another one when an alert was raised."""
    row = _LAST_OPEN.first(tx, {})
    return int(row[0] or 0) if row else 0


def due(tx: Transaction, at_ms: int, limit: int) -> list[Alert]:
    """What the webhook is to be told of now, the oldest first."""
    query = sa.select(alerts).where(alerts.c.due_ms <= at_ms).order_by(alerts.c.due_ms, alerts.c.id).limit(limit)
    return [_alert(row) for row in tx.execute(query)]


def postpone(tx: Transaction, alert: Alert, due_ms: int | None) -> bool:
    """Count a try, the next one being due then, or never; False where somebody else has tried meanwhile."""
    same = (alerts.c.id == alert.id) & (alerts.c.tries == alert.tries) & _as_told(alert)
    changes = {"tries": alerts.c.tries + 1, "due_ms": due_ms}
    return tx.execute(sa.update(alerts).where(same).values(changes)).rowcount > 0


def set_sent(tx: Transaction, alert: Alert, at_ms: int) -> None:
    """The webhook took it as it was then: nothing is owed, unless it was resolved meanwhile."""
    same = (alerts.c.id == alert.id) & _as_told(alert)
    tx.execute(sa.update(alerts).where(same).values(sent_ms=at_ms, due_ms=None))


def _as_told(alert: Alert) -> sa.ColumnElement[bool]:
    return _OPEN if alert.resolved_at is None else alerts.c.resolved_ms == to_ms(alert.resolved_at)


def _resolve(tx: Transaction, which: sa.ColumnElement[bool], at_ms: int) -> bool:
    changes = {"resolved_ms": at_ms, "due_ms": at_ms, "tries": 0}
    return tx.execute(sa.update(alerts).where(which & _OPEN).values(changes)).rowcount > 0


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
        sent_at=None if row.sent_ms is None else from_ms(row.sent_ms),
        tries=row.tries,
    )
