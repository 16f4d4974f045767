"""The affinities table: who made a piece of conversation state, by the state's digest. The ledger writes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import sqlalchemy as sa

from keyvault.domain.routes import Target
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import affinities, targets


class Made(NamedTuple):
    """One piece of state. The target's id is the ledger's."""

    digest: bytes
    target_id: int
    at_ms: int


def find(tx: Transaction, digests: Collection[bytes]) -> Mapping[bytes, Target]:
    """Who made what of these is on record."""
    query = (
        sa.select(affinities.c.digest, targets.c.upstream, targets.c.model)
        .join(targets, affinities.c.target_id == targets.c.id)
        .where(affinities.c.digest.in_(digests))
    )
    return {bytes(row.digest): Target(row.upstream, row.model) for row in tx.execute(query)}


def forget(tx: Transaction, before_ms: int, at_most: int) -> int:
    """Delete what was made before a moment, oldest first, some at a time; how many."""
    old = sa.select(affinities.c.digest).where(affinities.c.at_ms < before_ms).order_by(affinities.c.at_ms)
    return tx.execute(sa.delete(affinities).where(affinities.c.digest.in_(old.limit(at_most)))).rowcount
