"""Deleting a key and getting it back, within a transaction that its caller opened.

A deleted key is refused at once and hidden; for `RESTORABLE` it can be restored as it was: an active key is active
again, a suspended one suspended, a revoked one revoked. Its name stays taken for as long, so that it can come back.
What it used stays in every report, under its name.
"""

from __future__ import annotations

from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import RESTORABLE, Key
from keyvault.domain.names import short_duration
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.errors import Conflict
from keyvault.storage import budgets, customers, epochs, limits
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction

DAYS: Final = RESTORABLE.days


def delete(tx: Transaction, clock: Clock, key: Key, *, purge: bool) -> None:
    """Refuse and hide a key; with `purge` for good: its name is free, its budgets and limits are gone. Deleting twice
    changes nothing."""
    if key.deleted_at is not None and not purge:
        return
    rows.delete(tx, key.id, clock.now_ms())
    if purge:
        rows.free_name(tx, key)
        drop_rules(tx, ScopeRef(ScopeKind.KEY, key.id, key.name))
        epochs.bump(tx, "money")
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    told = {"id": key.public_id, "was": key.state.value, "purged": purge}
    audit.record(tx, clock, "keys.delete", f"key:{key.name}", **told)


def drop_rules(tx: Transaction, scope: ScopeRef) -> None:
    """Take the budgets and limits of something away that is gone for good."""
    for budget in budgets.every(tx):
        if budget.scope == scope:
            budgets.delete(tx, budget.id)
    for limit in limits.of_scope(tx, scope):
        limits.delete(tx, limit)


def restore(tx: Transaction, clock: Clock, key: Key) -> None:
    """Bring a deleted key back as it was. Raises `Conflict` for one that is not deleted, or was too long ago, or whose
    project is gone."""
    if key.restorable_until is None:
        raise Conflict(f"key {key.name} is not deleted", hint=f"gwctl keys show {key.name}")
    if clock.now() >= key.restorable_until:
        text = f"key {key.name} was deleted more than {DAYS} days ago and cannot be restored"
        raise Conflict(text, hint=f"gwctl keys create {key.name}")
    if all(each.id != key.project_id for each in customers.list_projects(tx)):
        text = f"the project of key {key.name} was deleted, and the key cannot be restored"
        raise Conflict(text, hint=f"gwctl keys delete {key.name} --purge, then gwctl keys create {key.name}")
    rows.restore(tx, key.id)
    rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
    audit.record(tx, clock, "keys.restore", f"key:{key.name}", id=key.public_id)


def make_way(tx: Transaction, clock: Clock, key: Key) -> None:
    """Free the name of a key that is deleted and can no longer come back. Raises `Conflict` for any other."""
    if key.restorable_until is None:
        raise Conflict(f"key {key.name} exists already", hint=f"gwctl keys rotate {key.name}")
    left = key.restorable_until - clock.now()
    if left.total_seconds() > 0:
        text = f"key {key.name} is deleted and can be restored for another {short_duration(left)}"
        raise Conflict(text, hint=f"gwctl keys restore {key.name}, or gwctl keys delete {key.name} --purge")
    rows.free_name(tx, key)
