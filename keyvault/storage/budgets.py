"""Rows of budgets."""

from __future__ import annotations

import json

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.storage import scopes
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import budgets


def every(tx: Transaction) -> list[Budget]:
    """All budgets, in the order in which they were made. One of something that is gone names it by its number."""
    rows = tx.execute(sa.select(budgets).order_by(budgets.c.id)).all()
    refs = scopes.refs(tx) if rows else {}
    found = []
    for row in rows:
        kind = ScopeKind(row.scope_kind)
        found.append(
            Budget(
                id=row.id,
                scope=refs.get((kind, row.scope_id)) or ScopeRef(kind, row.scope_id, f"#{row.scope_id}"),
                model=row.model,
                env=row.env,
                period=Period(row.period),
                zone=row.zone,
                amount_pico=row.amount_pico,
                hard=bool(row.hard),
                thresholds=tuple(json.loads(row.thresholds)),
                created_at=from_ms(row.created_ms),
            )
        )
    return found
