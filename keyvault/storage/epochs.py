"""The change epoch: tells running proxies that something they hold in memory has changed."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import epochs

Aggregate = Literal["keys", "upstreams", "routes", "prices"]


def bump(tx: Transaction, aggregate: Aggregate) -> int:
    """Grow the epoch of an aggregate within the transaction of the change; its new value."""
    column = epochs.c[aggregate]
    tx.execute(sa.update(epochs).where(epochs.c.id == 1).values({column: column + 1}))
    return int(tx.execute(sa.select(column).where(epochs.c.id == 1)).scalar_one())


def current(tx: Transaction) -> tuple[int, int, int, int]:
    """The epochs of (keys, upstreams, routes, prices)."""
    row = tx.execute(sa.select(epochs.c["keys"], epochs.c.upstreams, epochs.c.routes, epochs.c.prices)).one()
    return (row[0], row[1], row[2], row[3])
