"""The gateway's own row: the switch that stops everybody."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import gateway
from keyvault.storage.seals import touch

ROW: Final = 1


def suspended(tx: Transaction) -> bool:
    """Whether everybody is stopped. A row that somebody took away opens nothing."""
    return tx.execute(sa.select(gateway.c.suspended).where(gateway.c.id == ROW)).scalar() != 0


def set_suspended(tx: Transaction, value: bool) -> None:
    touch(tx, "gateway", ROW)
    tx.execute(sa.update(gateway).where(gateway.c.id == ROW).values(suspended=int(value)))
