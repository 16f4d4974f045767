"""Rows of limits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.storage import scopes
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import limits
from keyvault.storage.seals import added, touch


def every(tx: Transaction) -> list[Limit]:
    """All limits, in the order in which they were made. One of something that is gone names it by its number."""
    rows = tx.execute(sa.select(limits).order_by(limits.c.id)).all()
    refs = scopes.refs(tx) if rows else {}
    found = []
    for row in rows:
        kind = ScopeKind(row.scope_kind)
        scope = refs.get((kind, row.scope_id)) or ScopeRef(kind, row.scope_id, f"#{row.scope_id}")
        found.append(_limit(row, scope))
    return found


def of_scope(tx: Transaction, scope: ScopeRef) -> list[Limit]:
    """The limits of one scope, the one for all models first."""
    return [_limit(row, scope) for row in tx.execute(sa.select(limits).where(_of(scope)).order_by(limits.c.model))]


def find(tx: Transaction, scope: ScopeRef, model: str) -> Limit | None:
    return next((limit for limit in of_scope(tx, scope) if limit.model == model), None)


def insert(tx: Transaction, limit: Limit, now_ms: int) -> int:
    values = {"scope_kind": limit.scope.kind.value, "scope_id": limit.scope.id, "model": limit.model}
    query = sa.insert(limits).values(**values, **_amounts(limit), created_ms=now_ms)
    row_id = int(tx.execute(query.returning(limits.c.id)).scalar_one())
    added(tx, "limits", row_id)
    return row_id


def update(tx: Transaction, limit: Limit) -> None:
    """Set the amounts of a limit that is there."""
    touch(tx, "limits", limit.id)
    tx.execute(sa.update(limits).where(limits.c.id == limit.id).values(**_amounts(limit)))


def delete(tx: Transaction, limit: Limit) -> None:
    touch(tx, "limits", limit.id)
    tx.execute(sa.delete(limits).where(limits.c.id == limit.id))


def _of(scope: ScopeRef) -> sa.ColumnElement[bool]:
    return sa.and_(limits.c.scope_kind == scope.kind.value, limits.c.scope_id == scope.id)


def _amounts(limit: Limit) -> dict[str, int | None]:
    return {"rpm": limit.rpm, "tpm": limit.tpm, "parallel": limit.parallel}


def _limit(row: Any, scope: ScopeRef) -> Limit:
    return Limit(id=row.id, scope=scope, model=row.model, rpm=row.rpm, tpm=row.tpm, parallel=row.parallel)
