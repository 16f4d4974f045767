"""Rate limits of customers, projects and keys: who may send how much.

Each change is one transaction with its audit entry and the epoch that running proxies watch. A scope has at most one
limit for a pattern of models; a limit that limits nothing any more is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.limits import KINDS, Limit, LimitChange, check_pattern
from keyvault.domain.scopes import Scope, ScopeRef
from keyvault.errors import NotFound
from keyvault.storage import epochs, scopes
from keyvault.storage import limits as rows
from keyvault.storage.engine import Database, Transaction


class Limits:
    """The service behind `gwctl limits`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def set(self, scope: Scope, change: LimitChange, *, model: str = "") -> Limit:
        """Set what `change` says, for all models together or for a pattern of them; what it leaves out stays.

        Raises `NotFound` for an unknown scope. What comes back may limit nothing: then it is gone.
        """
        model = check_pattern(model)
        with self._database.change() as tx:
            return put_limit(tx, self._clock, scopes.find(tx, scope), change, model=model)

    def list(self) -> Sequence[Limit]:
        """Every limit, in the order of their making."""
        with self._database.read() as tx:
            return rows.every(tx)

    def of(self, scope: Scope) -> Sequence[Limit]:
        """The limits of one scope. Raises `NotFound` for an unknown one."""
        with self._database.read() as tx:
            return rows.of_scope(tx, scopes.find(tx, scope))

    def delete(self, scope: Scope, *, model: str | None = None) -> Sequence[Limit]:
        """Take a scope's limits away, or the one for a pattern of models (empty: for all). Raises `NotFound` where
        there is none."""
        pattern = None if model is None else check_pattern(model)
        with self._database.change() as tx:
            ref = scopes.find(tx, scope)
            found = [limit for limit in rows.of_scope(tx, ref) if pattern in (None, limit.model)]
            if not found:
                raise NotFound(f"{ref} has no such limit", hint="gwctl limits list")
            for limit in found:
                rows.delete(tx, limit)
                audit.record(tx, self._clock, "limits.delete", str(ref), model=limit.model)
            epochs.bump(tx, "money")
            return found


def put_limit(tx: Transaction, clock: Clock, scope: ScopeRef, change: LimitChange, *, model: str = "") -> Limit:
    """Set a limit of a scope within a transaction. Nothing is written where nothing changes."""
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
    told = {kind: getattr(limit, kind) for kind in KINDS}
    audit.record(tx, clock, "limits.set", str(scope), model=model, **told)
    epochs.bump(tx, "money")
    return limit
