"""The purse: which of several workers on one database may spend from hard budgets and balances."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import purse, workers


class Holder(NamedTuple):
    """Who has the purse, as it lies there."""

    worker: str | None
    """None: nobody ever had it."""
    alive: bool


def holder(tx: Transaction, alive_since_ms: int) -> Holder:
    """Who has it, and whether it was heard from since."""
    alive = (workers.c.id == purse.c.worker) & (workers.c.heartbeat_ms >= alive_since_ms)
    query = sa.select(purse.c.worker, workers.c.id.is_not(None)).select_from(purse.outerjoin(workers, alive))
    worker, is_alive = tx.execute(query).one()
    return Holder(worker, bool(is_alive))


def take(tx: Transaction, worker: str, at_ms: int) -> None:
    """Give it to a worker. Waits for whoever opens an attempt by it just now."""
    tx.execute(sa.update(purse).where(purse.c.id == 1).values(worker=worker, taken_ms=at_ms))
