"""Peppers and the tokens stored under them: which versions there are, who still uses an old one, moving to the newest.

A token counts as long as it could be used again: pending, active or in grace, of a key that is not revoked. Suspended,
expired and restorable keys count too.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.keys import GenerationState, KeyState
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import key_generations, keys, sealed_records
from keyvault.storage.seals import touch

PEPPER: Final = "pepper"
"""The purpose of a pepper's sealed record, whose version is the pepper's."""

_USABLE = (
    key_generations.c.state.in_((GenerationState.PENDING.value, GenerationState.ACTIVE.value))
    | (
        (key_generations.c.state == GenerationState.GRACE.value)
        & (key_generations.c.valid_until_ms > sa.bindparam("now_ms"))
    )
) & (keys.c.state != KeyState.REVOKED.value)


@dataclass(frozen=True, slots=True)
class StoredPepper:
    """A pepper without its value."""

    version: int
    created_at: datetime
    tokens: int
    """Stored under it and still usable."""


@dataclass(frozen=True, slots=True)
class Straggler:
    """A usable token that is still stored under an old pepper, because nobody has used it since."""

    key_id: int
    key: str
    key_state: str
    generation: int
    generation_state: str
    pepper_version: int
    last_used_at: datetime | None
    adopted: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A token under the newest pepper, which takes the place of what is stored of it."""

    key_id: int
    old_mac: bytes = field(repr=False)
    mac: bytes = field(repr=False)
    pepper_version: int = 0


def versions(tx: Transaction) -> list[int]:
    """Oldest first; the last one is what new tokens use."""
    query = sa.select(sealed_records.c.version).where(sealed_records.c.purpose == PEPPER)
    return sorted(tx.execute(query).scalars())


def stored(tx: Transaction, now_ms: int) -> list[StoredPepper]:
    """Every pepper, oldest first, with how many tokens use it."""
    counts = (
        sa.select(key_generations.c.pepper_version, sa.func.count())
        .join(keys, keys.c.id == key_generations.c.key_id)
        .where(_USABLE)
        .group_by(key_generations.c.pepper_version)
    )
    tokens = {row[0]: row[1] for row in tx.execute(counts, {"now_ms": now_ms})}
    query = sa.select(sealed_records.c.version, sealed_records.c.updated_ms).where(sealed_records.c.purpose == PEPPER)
    rows = sorted((row.version, row.updated_ms) for row in tx.execute(query))
    return [StoredPepper(version, from_ms(ms), tokens.get(version, 0)) for version, ms in rows]


def stragglers(tx: Transaction, newest: int, now_ms: int) -> list[Straggler]:
    """Usable tokens under another pepper than the newest, by key."""
    query = (
        sa.select(
            keys.c.id,
            keys.c.name,
            keys.c.state,
            key_generations.c.number,
            key_generations.c.state.label("generation_state"),
            key_generations.c.pepper_version,
            key_generations.c.last_used_ms,
            key_generations.c.adopted,
        )
        .join(keys, keys.c.id == key_generations.c.key_id)
        .where(_USABLE & (key_generations.c.pepper_version != newest))
        .order_by(keys.c.folded, key_generations.c.number)
    )
    return [_straggler(row) for row in tx.execute(query, {"now_ms": now_ms})]


def move(tx: Transaction, moves: Collection[Move]) -> Sequence[int]:
    """Store tokens under the newest pepper, those whose row still is as it was found; the ids of their keys."""
    wanted = {m.old_mac: m for m in moves}
    query = sa.select(key_generations.c.key_id, key_generations.c.mac).where(key_generations.c.mac.in_(list(wanted)))
    found = {bytes(row.mac): row.key_id for row in tx.execute(query)}
    ids = sorted(set(found.values()))
    touch(tx, "keys", *ids)
    for old_mac in found:
        values = {"mac": wanted[old_mac].mac, "pepper_version": wanted[old_mac].pepper_version}
        tx.execute(sa.update(key_generations).where(key_generations.c.mac == old_mac).values(values))
    return ids


def _straggler(row: Any) -> Straggler:
    return Straggler(
        key_id=row.id,
        key=row.name,
        key_state=row.state,
        generation=row.number,
        generation_state=row.generation_state,
        pepper_version=row.pepper_version,
        last_used_at=None if row.last_used_ms is None else from_ms(row.last_used_ms),
        adopted=bool(row.adopted),
    )
