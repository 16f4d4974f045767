"""Who can be named as a payer: every project that is not deleted, with its customer."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from keyvault.domain.scopes import Payer
from keyvault.storage.customers import FREED
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import customers, projects

_EVERY = (
    sa.select(
        customers.c.id.label("customer_id"),
        customers.c.name.label("customer"),
        customers.c.multiplier_ppm,
        projects.c.id,
        projects.c.name,
        (projects.c.suspended + customers.c.suspended).label("suspended"),
    )
    .join(customers, projects.c.customer_id == customers.c.id)
    .where(projects.c.folded.not_like(f"{FREED}%"), customers.c.folded.not_like(f"{FREED}%"))
    .order_by(projects.c.id)
)


@dataclass(frozen=True, slots=True)
class KnownPayer:
    """A project that could pay, as it is stored."""

    payer: Payer
    suspended: bool
    """It or its customer."""


def every(tx: Transaction) -> list[KnownPayer]:
    return [
        KnownPayer(Payer(row.customer_id, row.customer, row.id, row.name, row.multiplier_ppm), bool(row.suspended))
        for row in tx.execute(_EVERY)
    ]
