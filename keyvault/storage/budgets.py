"""Rows of budgets."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import ScopeRef
from keyvault.storage import scopes
from keyvault.storage.engine import Row, Transaction
from keyvault.storage.schema import budgets
from keyvault.storage.seals import added, touch

_PERIODS: Final = frozenset(period.value for period in Period)


def every(tx: Transaction) -> list[Budget]:
    """All budgets, in the order in which they were made. One of something that is gone names it by its number."""
    return read(tx, stored(tx).values())


def stored(tx: Transaction) -> Mapping[int, Row]:
    """All rows as they lie there, by id: to tell which are others than they were, at little cost."""
    return {row[0]: row for row in tx.execute(sa.select(budgets).order_by(budgets.c.id))}


def read(tx: Transaction, rows: Collection[Row]) -> list[Budget]:
    """What rows say. Who or what nobody can tell is left out: gwctl has not written it."""
    refs = scopes.refs_of(tx, rows)
    told = (row for row in rows if (row.scope_kind, row.scope_id) in refs and row.period in _PERIODS)
    return [_budget(row, refs[row.scope_kind, row.scope_id]) for row in told]


def find(tx: Transaction, scope: ScopeRef, model: str, env: str, period: Period) -> Budget | None:
    """The one budget of a scope for these models, this environment and this period."""
    same = (budgets.c.scope_kind == scope.kind) & (budgets.c.scope_id == scope.id)
    same &= (budgets.c.model == model) & (budgets.c.env == env) & (budgets.c.period == period)
    row = tx.execute(sa.select(budgets).where(same)).first()
    return None if row is None else _budget(row, scope)


def insert(tx: Transaction, budget: Budget) -> int:
    """Store a budget; its `id` is ignored, the database gives one."""
    row = {
        "scope_kind": budget.scope.kind,
        "scope_id": budget.scope.id,
        "model": budget.model,
        "env": budget.env,
        "period": budget.period,
        "created_ms": to_ms(budget.created_at),
        **_terms(budget),
    }
    budget_id = int(tx.execute(sa.insert(budgets).values(row).returning(budgets.c.id)).scalar_one())
    added(tx, "budgets", budget_id)
    return budget_id


def update(tx: Transaction, budget: Budget) -> None:
    """Store what may change of a budget: amount, zone, whether it is hard, thresholds."""
    touch(tx, "budgets", budget.id)
    tx.execute(sa.update(budgets).where(budgets.c.id == budget.id).values(_terms(budget)))


def delete(tx: Transaction, budget_id: int) -> None:
    touch(tx, "budgets", budget_id)
    tx.execute(sa.delete(budgets).where(budgets.c.id == budget_id))


def _terms(budget: Budget) -> dict[str, Any]:
    return {
        "zone": budget.zone,
        "amount_pico": budget.amount_pico,
        "hard": int(budget.hard),
        "thresholds": json.dumps(budget.thresholds),
    }


def _budget(row: Row, scope: ScopeRef) -> Budget:
    return Budget(
        id=row.id,
        scope=scope,
        model=row.model,
        env=row.env,
        period=Period(row.period),
        zone=row.zone,
        amount_pico=row.amount_pico,
        hard=bool(row.hard),
        thresholds=tuple(json.loads(row.thresholds)),
        created_at=from_ms(row.created_ms),
    )
