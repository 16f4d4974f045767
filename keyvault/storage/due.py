"""Whether pending work is due: asked every other second, and nearly always nothing is."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from keyvault.domain.objects import State
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import objects

_ANYTHING: Final = Prepared(
    sa.select(objects.c.due_ms)
    .where(
        objects.c.state == sa.bindparam("pending", State.PENDING.value, type_=sa.Text),
        objects.c.due_ms <= sa.bindparam("now_ms", type_=sa.BigInteger),
    )
    .limit(sa.literal_column("1"))
)


def anything(tx: Transaction, now_ms: int) -> bool:
    """Whether some pending work is to be asked about."""
    return _ANYTHING.first(tx, {"now_ms": now_ms}) is not None
