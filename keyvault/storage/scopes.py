"""Finds the rows that scopes name, and the names of scopes that rows hold by id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import sqlalchemy as sa

from keyvault.domain.names import fold, not_found
from keyvault.domain.scopes import Scope, ScopeKind, ScopeRef
from keyvault.storage.engine import Row, Transaction
from keyvault.storage.schema import customers, keys, projects

_PROJECTS: Final = sa.select(projects.c.id, customers.c.name.label("customer"), projects.c.name).join(customers)
_FEW: Final = 500
"""So many ids are asked for by one statement; beyond that all rows are read."""


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
    """By the name that they are found by; deleted ones are not."""
    gone = deleted(tx)
    return {fold(ref.name): ref for ref in _read(tx, kind, None) if (kind, ref.id) not in gone}


def deleted(tx: Transaction) -> frozenset[tuple[ScopeKind, int]]:
    """Customers and projects that are hidden for good, by kind and id."""
    found = set()
    for kind, table in ((ScopeKind.CUSTOMER, customers), (ScopeKind.PROJECT, projects)):
        gone = tx.execute(sa.select(table.c.id).where(table.c.folded.like(" %"))).scalars()
        found |= {(kind, each) for each in gone}
    return frozenset(found)


def refs(tx: Transaction) -> Mapping[tuple[ScopeKind, int], ScopeRef]:
    """Every scope by kind and id."""
    return {(kind, ref.id): ref for kind in ScopeKind for ref in _read(tx, kind, None)}


def refs_of(tx: Transaction, rows: Collection[Row]) -> Mapping[tuple[str, int], ScopeRef]:
    """The scopes that rows name by `scope_kind` and `scope_id`; one that is gone is called by its number."""
    wanted: dict[str, set[int]] = {}
    for row in rows:
        wanted.setdefault(row.scope_kind, set()).add(row.scope_id)
    found = dict[tuple[str, int], ScopeRef]()
    for kind in (kind for kind in ScopeKind if kind in wanted):
        gone = {(kind.value, i): ScopeRef(kind, i, f"#{i}") for i in wanted[kind]}
        found |= gone | {(kind.value, ref.id): ref for ref in _read(tx, kind, wanted[kind])}
    return found


def _read(tx: Transaction, kind: ScopeKind, ids: Collection[int] | None) -> list[ScopeRef]:
    table = {ScopeKind.CUSTOMER: customers, ScopeKind.PROJECT: projects, ScopeKind.KEY: keys}[kind]
    query = _PROJECTS if table is projects else sa.select(table.c.id, table.c.name)
    if ids is not None and len(ids) <= _FEW:
        query = query.where(table.c.id.in_(ids))
    found = tx.execute(query)
    if table is projects:
        return [ScopeRef(kind, row.id, f"{row.customer}/{row.name}") for row in found]
    return [ScopeRef(kind, row.id, row.name) for row in found]
