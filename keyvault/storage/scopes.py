"""Finds the rows that scopes name, and the names of scopes that rows hold by id."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from keyvault.domain.names import fold, not_found
from keyvault.domain.scopes import Scope, ScopeKind, ScopeRef
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import customers, keys, projects

_PROJECTS = sa.select(projects.c.id, customers.c.name.label("customer"), projects.c.name).join(customers)


def find(tx: Transaction, scope: Scope) -> ScopeRef:
    """Raises `NotFound`, with the nearest name as a hint."""
    known = [ref for (kind, _), ref in refs(tx).items() if kind is scope.kind]
    for ref in known:
        if fold(ref.name) == fold(scope.name):
            return ref
    raise not_found(scope.kind, scope.name, [ref.name for ref in known], otherwise=f"gwctl {scope.kind}s list")


def refs(tx: Transaction) -> Mapping[tuple[ScopeKind, int], ScopeRef]:
    """Every scope by kind and id."""
    found = [
        ScopeRef(ScopeKind.CUSTOMER, r.id, r.name) for r in tx.execute(sa.select(customers.c.id, customers.c.name))
    ]
    found += [ScopeRef(ScopeKind.PROJECT, row.id, f"{row.customer}/{row.name}") for row in tx.execute(_PROJECTS)]
    found += [ScopeRef(ScopeKind.KEY, row.id, row.name) for row in tx.execute(sa.select(keys.c.id, keys.c.name))]
    return {(ref.kind, ref.id): ref for ref in found}
