"""Rows of limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from keyvault.domain.limits import Limit
from keyvault.domain.scopes import ScopeRef
from keyvault.storage import scopes
from keyvault.storage.engine import Row, Transaction
from keyvault.storage.schema import limits
from keyvault.storage.seals import added, touch


def every(tx: Transaction) -> list[Limit]:
    """All limits, in the order in which they were made. One of something that is gone names it by its number."""
    return read(tx, stored(tx).values())


def stored(tx: Transaction) -> Mapping[int, Row]:
    """All rows as they lie there, by id: to tell which are others than they were, at little cost."""
    return {row[0]: row for row in tx.execute(sa.select(limits).order_by(limits.c.id))}


def read(tx: Transaction, rows: Collection[Row]) -> list[Limit]:
    """What rows say. About whom nobody can tell is left out: gwctl has not written it."""
    refs = scopes.refs_of(tx, rows)
    told = (row for row in rows if (row.scope_kind, row.scope_id) in refs)
    return [_limit(row, refs[row.scope_kind, row.scope_id]) for row in told]


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
