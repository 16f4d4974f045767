"""Rate limits of customers, projects and keys: who may send how much.

Each change is one transaction with its audit entry and the epoch that running proxies watch. A scope has at most one
limit for a pattern of models; a limit that limits nothing any more is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.limits import KINDS, Limit, LimitChange
from keyvault.domain.scopes import Scope, ScopeRef, check_pattern
from keyvault.errors import Conflict, NotFound
from keyvault.storage import epochs, scopes
from keyvault.storage import limits as rows
from keyvault.storage.engine import Database, Transaction


class Limits:
    """The service behind `gwctl limits`. `model` is a pattern of aliases; empty, it is about all of them together."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def set(self, scope: Scope, change: LimitChange, *, model: str = "") -> Limit:
        """Set what `change` says; what it leaves out stays. A limit that comes back without any number is gone.

        Raises `NotFound` for an unknown scope, `UsageError` for a bad pattern.
        """
        model = check_pattern(model)
        with self._database.change() as tx:
            return put(tx, self._clock, scopes.find(tx, scope), change, model=model)

    def of_key(self, change: LimitChange) -> Callable[[Transaction, ScopeRef], object]:
        """What sets a key's limit for all models in the transaction that makes or changes the key."""
        return lambda tx, key: put(tx, self._clock, key, change)

    def list(self, scope: Scope | None = None) -> Sequence[Limit]:
        """Every limit, or those of one scope. Raises `NotFound`."""
        with self._database.read() as tx:
            return rows.every(tx) if scope is None else rows.of_scope(tx, scopes.find(tx, scope))

    def show(self, scope: Scope, *, model: str | None = None) -> Limit:
        """The one limit that is meant. Raises `NotFound`, and `Conflict` where several fit."""
        with self._database.read() as tx:
            return _meant(tx, scope, model)

    def delete(self, scope: Scope, *, model: str | None = None) -> Limit:
        """Take a limit away. Raises `NotFound`, `Conflict`."""
        with self._database.change() as tx:
            limit = _meant(tx, scope, model)
            rows.delete(tx, limit)
            epochs.bump(tx, "money")
            audit.record(tx, self._clock, "limits.delete", str(limit.scope), model=limit.model)
            return limit


def put(tx: Transaction, clock: Clock, scope: ScopeRef, change: LimitChange, *, model: str = "") -> Limit:
    """Set a limit within a transaction that its caller opened. Nothing is written where nothing changes."""
    was = rows.find(tx, scope, model)
    limit = change.applied(was or Limit(0, scope, model, None, None, None))
    if limit == was or not (was or limit.limits):
        return limit
    if was is None:
        rows.insert(tx, limit, clock.now_ms())
    elif limit.limits:
        rows.update(tx, limit)
    else:
        rows.delete(tx, limit)
    epochs.bump(tx, "money")
    audit.record(tx, clock, "limits.set", str(scope), model=model, **{kind: getattr(limit, kind) for kind in KINDS})
    return limit


def _meant(tx: Transaction, scope: Scope, model: str | None) -> Limit:
    ref = scopes.find(tx, scope)
    of_scope = rows.of_scope(tx, ref)
    pattern = None if model is None else check_pattern(model)
    fit = [limit for limit in of_scope if pattern in (None, limit.model)]
    if not fit:
        hint = f"gwctl limits list {ref}" if of_scope else f"gwctl limits set {ref} --rpm 60"
        raise NotFound(f"{ref} has no such limit", hint=hint)
    if len(fit) > 1:
        raise Conflict(f"{ref} has {len(fit)} limits", hint="say which: --model PATTERN, or --model '*'")
    return fit[0]
