"""Budgets that were set after a backup: they hold again after a restore, never looser than what the backup has."""

from __future__ import annotations

from dataclasses import replace

from keyvault.audit import Entry
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.scopes import parse_scope
from keyvault.errors import NotFound
from keyvault.money import parse_usd
from keyvault.storage import budgets, scopes
from keyvault.storage.engine import Transaction


def budgeted_again(tx: Transaction, entry: Entry) -> bool:
    """Set what an entry `budgets.set` says, the lower amount, and hard if either is; False where its scope is not
    there."""
    try:
        scope = scopes.find(tx, parse_scope(entry.scope))
    except NotFound:
        return False
    told = entry.detail
    budget = Budget(
        id=0,
        scope=scope,
        model=str(told["model"]),
        env=str(told["env"]),
        period=Period(told["period"]),
        zone=str(told["zone"]),
        amount_pico=parse_usd(str(told["amount"])),
        hard=bool(told["hard"]),
        thresholds=tuple(told["thresholds"]),
        created_at=entry.at,
    )
    was = budgets.find(tx, scope, budget.model, budget.env, budget.period)
    if was is None:
        budgets.insert(tx, budget)
    else:
        lower = min(was.amount_pico, budget.amount_pico)
        budgets.update(tx, replace(was, amount_pico=lower, hard=was.hard or budget.hard))
    return True
