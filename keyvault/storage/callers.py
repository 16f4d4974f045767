"""What the caller directory reads and writes: the usable tokens of changed keys, and who used which when."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from keyvault.domain.keys import Caller, GenerationState, KeyState, Policy
from keyvault.storage.engine import Transaction
from keyvault.storage.keys import load_policy
from keyvault.storage.schema import customers, key_generations, keys, projects

_LIVE = (GenerationState.PENDING.value, GenerationState.ACTIVE.value, GenerationState.GRACE.value)

_CHANGED = (
    sa.select(
        keys.c.id,
        keys.c.public_id,
        keys.c.name,
        keys.c.project_id,
        keys.c.env,
        keys.c.policy,
        keys.c.tags,
        keys.c.expires_ms,
        ((keys.c.state == KeyState.ACTIVE.value) & (projects.c.suspended == 0) & (customers.c.suspended == 0)).label(
            "admitted"
        ),
        projects.c.name.label("project"),
        customers.c.id.label("customer_id"),
        customers.c.name.label("customer"),
        customers.c.multiplier_ppm,
        key_generations.c.number,
        key_generations.c.mac,
        key_generations.c.pepper_version,
        key_generations.c.state.label("generation_state"),
        key_generations.c.valid_until_ms,
        key_generations.c.adopted,
    )
    .join(projects, keys.c.project_id == projects.c.id)
    .join(customers, projects.c.customer_id == customers.c.id)
    .outerjoin(key_generations, (key_generations.c.key_id == keys.c.id) & key_generations.c.state.in_(_LIVE))
    .where(keys.c.epoch > sa.bindparam("seen"))
)

_USE = (
    sa.update(key_generations)
    .where(key_generations.c.key_id == sa.bindparam("of_key"), key_generations.c.number == sa.bindparam("of_number"))
    .where(sa.func.coalesce(key_generations.c.last_used_ms, 0) <= sa.bindparam("at_ms"))
    .values(
        last_used_ms=sa.bindparam("at_ms"), last_client=sa.bindparam("client"), last_address=sa.bindparam("address")
    )
)


@dataclass(frozen=True, slots=True)
class UsableToken:
    """A token that is admitted until a moment, if it comes with this MAC."""

    mac: bytes
    pepper_version: int
    pending: bool
    until_ms: int | None
    """The first millisecond at which it is refused; None: no end."""
    caller: Caller
    adopted: bool = False
    """In the form of another gateway."""

    def caller_at(self, now_ms: int) -> Caller | None:
        """The caller, until the token's time is over."""
        return self.caller if self.until_ms is None or now_ms < self.until_ms else None


class Use(Struct, frozen=True):
    """The latest use of a generation."""

    key_id: int
    generation: int
    at_ms: int
    client: str | None
    address: str | None


def changed_since(tx: Transaction, epoch: int) -> dict[int, list[UsableToken]]:
    """The usable tokens of every key that changed after `epoch`, by key id; an empty list where none is admitted."""
    found: dict[int, list[UsableToken]] = {}
    policies: dict[str, Policy] = {}
    for row in tx.execute(_CHANGED, {"seen": epoch}):
        tokens = found.setdefault(row.id, [])
        if row.admitted and row.number is not None:
            if row.policy not in policies:
                policies[row.policy] = load_policy(row.policy)
            tokens.append(_token(row, policies[row.policy]))
    return found


def record_uses(tx: Transaction, uses: Iterable[Use]) -> None:
    """Write when, by which client and from where generations were last used; the newest use stays."""
    rows = [
        {"of_key": u.key_id, "of_number": u.generation, "at_ms": u.at_ms, "client": u.client, "address": u.address}
        for u in uses
    ]
    if rows:
        tx.execute(_USE, rows)


def _token(row: sa.Row[Any], policy: Policy) -> UsableToken:
    ends = [end for end in (row.expires_ms, row.valid_until_ms) if end is not None]
    return UsableToken(
        mac=bytes(row.mac),
        pepper_version=row.pepper_version,
        pending=row.generation_state == GenerationState.PENDING.value,
        until_ms=min(ends, default=None),
        caller=Caller(
            key_id=row.id,
            key_name=row.name,
            public_id=row.public_id,
            generation=row.number,
            customer_id=row.customer_id,
            customer=row.customer,
            project=row.project,
            project_id=row.project_id,
            env=row.env,
            policy=policy,
            multiplier_ppm=row.multiplier_ppm,
            tags=json.loads(row.tags),
        ),
        adopted=bool(row.adopted),
    )
