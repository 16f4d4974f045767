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
    known = _keys(tx) if scope.kind is ScopeKind.KEY else _payers(tx, scope.kind)
    if (ref := known.get(fold(scope.name))) is None:
        names = [ref.name for ref in known.values()]
        raise not_found(scope.kind, scope.name, names, otherwise=f"gwctl {scope.kind}s list")
    return ref


def _keys(tx: Transaction) -> Mapping[str, ScopeRef]:
    """By the name that they are found by: one whose name was freed is found no more."""
    rows = tx.execute(sa.select(keys.c.id, keys.c.name, keys.c.folded))
    return {row.folded: ScopeRef(ScopeKind.KEY, row.id, row.name) for row in rows}


def _payers(tx: Transaction, kind: ScopeKind) -> Mapping[str, ScopeRef]:
    return {fold(ref.name): ref for (each, _), ref in refs(tx).items() if each is kind}


def refs(tx: Transaction) -> Mapping[tuple[ScopeKind, int], ScopeRef]:
    """Every scope by kind and id."""
    found = [
        ScopeRef(ScopeKind.CUSTOMER, r.id, r.name) for r in tx.execute(sa.select(customers.c.id, customers.c.name))
    ]
    found += [ScopeRef(ScopeKind.PROJECT, row.id, f"{row.customer}/{row.name}") for row in tx.execute(_PROJECTS)]
    found += [ScopeRef(ScopeKind.KEY, row.id, row.name) for row in tx.execute(sa.select(keys.c.id, keys.c.name))]
    return {(ref.kind, ref.id): ref for ref in found}
