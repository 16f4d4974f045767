"""The purse: which of several workers on one database may spend from hard budgets and balances."""

from __future__ import annotations

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import purse, workers


def holder(tx: Transaction, alive_since_ms: int) -> str | None:
    """The worker that has it; None where nobody has, or who has was not heard from since."""
    alive = sa.select(workers.c.id).where(workers.c.heartbeat_ms >= alive_since_ms)
    found = tx.execute(sa.select(purse.c.worker).where(purse.c.worker.in_(alive))).scalar_one_or_none()
    return None if found is None else str(found)


def take(tx: Transaction, worker: str, at_ms: int) -> None:
    """Give it to a worker. Waits for whoever opens an attempt by it just now."""
    tx.execute(sa.update(purse).where(purse.c.id == 1).values(worker=worker, taken_ms=at_ms))
