"""Customers and projects: rows in, domain values out.

A change that running proxies must see stamps the keys below it with the new epoch, so that they are read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.keys import Customer, Project
from keyvault.domain.names import fold
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import customers, keys, projects, uncaptured
from keyvault.storage.seals import added, touch

FREED: Final = " "
"""How the folded name of what was deleted begins, which no name can."""
_CUSTOMERS = sa.select(customers, sa.exists().where(uncaptured.c.customer_id == customers.c.id).label("never_capture"))
_PROJECTS = sa.select(projects, customers.c.name.label("customer")).join(customers)


def insert_customer(
    tx: Transaction, name: str, *, multiplier_ppm: int, tags: Mapping[str, str], created_ms: int
) -> int:
    row = {
        "name": name,
        "folded": fold(name),
        "multiplier_ppm": multiplier_ppm,
        "tags": json.dumps(dict(tags), sort_keys=True),
        "created_ms": created_ms,
    }
    customer_id = int(tx.execute(sa.insert(customers).values(row).returning(customers.c.id)).scalar_one())
    added(tx, "customers", customer_id)
    return customer_id


def insert_project(tx: Transaction, customer_id: int, name: str, *, tags: Mapping[str, str], created_ms: int) -> int:
    row = {
        "customer_id": customer_id,
        "name": name,
        "folded": fold(name),
        "tags": json.dumps(dict(tags), sort_keys=True),
        "created_ms": created_ms,
    }
    project_id = int(tx.execute(sa.insert(projects).values(row).returning(projects.c.id)).scalar_one())
    added(tx, "projects", project_id)
    return project_id


def find_customer(tx: Transaction, name: str) -> Customer | None:
    row = tx.execute(_CUSTOMERS.where(customers.c.folded == fold(name))).first()
    return _customer(row) if row else None


def find_project(tx: Transaction, customer: str, name: str) -> Project | None:
    same = (customers.c.folded == fold(customer)) & (projects.c.folded == fold(name))
    row = tx.execute(_PROJECTS.where(same)).first()
    return _project(row) if row else None


def list_customers(tx: Transaction) -> list[Customer]:
    """All customers by name, but for deleted ones."""
    kept = _CUSTOMERS.where(customers.c.folded.not_like(f"{FREED}%"))
    return [_customer(row) for row in tx.execute(kept.order_by(customers.c.folded))]


def list_projects(tx: Transaction, customer_id: int | None = None) -> list[Project]:
    """All projects, or one customer's, by customer and name, but for deleted ones."""
    query = _PROJECTS.where(projects.c.folded.not_like(f"{FREED}%"))
    query = query.order_by(customers.c.folded, projects.c.folded)
    if customer_id is not None:
        query = query.where(projects.c.customer_id == customer_id)
    return [_project(row) for row in tx.execute(query)]


def update_customer(
    tx: Transaction,
    customer_id: int,
    *,
    multiplier_ppm: int | None = None,
    tags: Mapping[str, str] | None = None,
    suspended: bool | None = None,
) -> None:
    """Set what is given."""
    changes = _changes(multiplier_ppm=multiplier_ppm, tags=tags, suspended=suspended)
    touch(tx, "customers", customer_id)
    tx.execute(sa.update(customers).where(customers.c.id == customer_id).values(changes))


def update_project(
    tx: Transaction, project_id: int, *, tags: Mapping[str, str] | None = None, suspended: bool | None = None
) -> None:
    """Set what is given."""
    touch(tx, "projects", project_id)
    tx.execute(sa.update(projects).where(projects.c.id == project_id).values(_changes(tags=tags, suspended=suspended)))


def delete_customer(tx: Transaction, customer_id: int) -> None:
    """Hide a customer for good and free its name; reports still call it by it."""
    _free(tx, "customers", customers, customer_id)


def delete_project(tx: Transaction, project_id: int) -> None:
    """Hide a project for good and free its name; reports still call it by it."""
    _free(tx, "projects", projects, project_id)


def stamp_keys_of_customer(tx: Transaction, customer_id: int, epoch: int) -> None:
    """Have running proxies read the customer's keys again."""
    below = sa.select(projects.c.id).where(projects.c.customer_id == customer_id)
    tx.execute(sa.update(keys).where(keys.c.project_id.in_(below)).values(epoch=epoch))


def stamp_keys_of_project(tx: Transaction, project_id: int, epoch: int) -> None:
    """Have running proxies read the project's keys again."""
    tx.execute(sa.update(keys).where(keys.c.project_id == project_id).values(epoch=epoch))


def _free(tx: Transaction, name: str, table: sa.Table, row_id: int) -> None:
    touch(tx, name, row_id)
    tx.execute(sa.update(table).where(table.c.id == row_id).values(folded=f"{FREED}{row_id}", suspended=1))


def _changes(
    *, multiplier_ppm: int | None = None, tags: Mapping[str, str] | None = None, suspended: bool | None = None
) -> dict[str, Any]:
    changes = {
        "multiplier_ppm": multiplier_ppm,
        "tags": None if tags is None else json.dumps(dict(tags), sort_keys=True),
        "suspended": None if suspended is None else int(suspended),
    }
    return {name: value for name, value in changes.items() if value is not None}


def _customer(row: sa.Row[Any]) -> Customer:
    return Customer(
        id=row.id,
        name=row.name,
        created_at=from_ms(row.created_ms),
        suspended=bool(row.suspended),
        multiplier_ppm=row.multiplier_ppm,
        tags=json.loads(row.tags),
        never_capture=bool(row.never_capture),
    )


def _project(row: sa.Row[Any]) -> Project:
    return Project(
        id=row.id,
        customer_id=row.customer_id,
        customer=row.customer,
        name=row.name,
        created_at=from_ms(row.created_ms),
        suspended=bool(row.suspended),
        tags=json.loads(row.tags),
    )
