"""Downstream keys and their generations: rows in, domain values out. Nothing here decides; the services do."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.keys import Generation, GenerationState, Key, KeyState, Policy
from keyvault.domain.names import fold
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import customers, gateway, key_generations, keys, projects
from keyvault.storage.seals import added, touch

_FREED: Final = " "
"""What no name begins with begins the folded name of a key whose name is free."""
_NO_TAGS: Final = "{}"

_KEYS = (
    sa.select(
        keys,
        projects.c.name.label("project"),
        customers.c.name.label("customer"),
        projects.c.suspended.label("project_suspended"),
        customers.c.suspended.label("customer_suspended"),
        sa.select(gateway.c.suspended).where(gateway.c.id == 1).scalar_subquery().label("all_suspended"),
    )
    .join(projects, keys.c.project_id == projects.c.id)
    .join(customers, projects.c.customer_id == customers.c.id)
    .order_by(keys.c.folded)
)


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """A generation about to be stored. The token itself never comes here, only its MAC and its mask."""

    number: int
    mac: bytes
    pepper_version: int
    masked: str
    state: GenerationState
    created_ms: int
    activated_ms: int | None = None
    grace_ms: int | None = None
    adopted: bool = False


class LastUse(NamedTuple):
    """The latest use of a generation."""

    key_id: int
    generation: int
    at: datetime
    client: str | None
    address: str | None


def insert(
    tx: Transaction,
    *,
    public_id: str,
    name: str,
    project_id: int,
    env: str,
    policy: Policy,
    tags: Mapping[str, str],
    created_ms: int,
    expires_ms: int | None,
    epoch: int,
) -> int:
    """Store an active key without generations; its id."""
    row = {
        "public_id": public_id,
        "name": name,
        "folded": fold(name),
        "project_id": project_id,
        "env": env,
        "state": KeyState.ACTIVE.value,
        "policy": dump_policy(policy),
        "tags": json.dumps(dict(tags), sort_keys=True),
        "created_ms": created_ms,
        "expires_ms": expires_ms,
        "epoch": epoch,
    }
    key_id = int(tx.execute(sa.insert(keys).values(row).returning(keys.c.id)).scalar_one())
    added(tx, "keys", key_id)
    return key_id


def insert_generation(tx: Transaction, key_id: int, new: NewGeneration) -> None:
    touch(tx, "keys", key_id)
    row = {name: getattr(new, name) for name in NewGeneration.__slots__}
    row |= {"key_id": key_id, "state": new.state.value, "adopted": int(new.adopted)}
    tx.execute(sa.insert(key_generations).values(row))


def find(tx: Transaction, name: str) -> Key | None:
    """The key of that name, without regard to case."""
    return next(iter(_load(tx, keys.c.folded == fold(name))), None)


def find_by_id(tx: Transaction, key_id: int) -> Key | None:
    return next(iter(_load(tx, keys.c.id == key_id)), None)


def find_by_public_id(tx: Transaction, public_id: str) -> Key | None:
    """The key that a token names."""
    return next(iter(_load(tx, keys.c.public_id == public_id)), None)


def find_by_mac(tx: Transaction, macs: Iterable[bytes]) -> Key | None:
    """The key one of whose generations, usable or not, has one of these MACs."""
    holders = sa.select(key_generations.c.key_id).where(key_generations.c.mac.in_(list(macs)))
    return next(iter(_load(tx, keys.c.id.in_(holders))), None)


def generation_with(tx: Transaction, key_id: int, macs: Iterable[bytes]) -> int | None:
    """The number of a key's generation that has one of these MACs."""
    one = (key_generations.c.key_id == key_id) & key_generations.c.mac.in_(list(macs))
    return tx.execute(sa.select(key_generations.c.number).where(one)).scalar()


def list_keys(
    tx: Transaction, *, customer: str | None = None, project_id: int | None = None, deleted: bool = False
) -> list[Key]:
    """All keys by name, or those of a customer or a project; with `deleted` those that are, as long as nobody else has
    their name."""
    wanted: sa.ColumnElement[bool] = keys.c.deleted_ms.is_(None)
    if deleted:
        wanted = keys.c.deleted_ms.is_not(None) & keys.c.folded.not_like(f"{_FREED}%")
    if customer is not None:
        wanted &= customers.c.folded == fold(customer)
    if project_id is not None:
        wanted &= keys.c.project_id == project_id
    return _load(tx, wanted)


def expired(tx: Transaction, now_ms: int) -> list[Key]:
    """The keys that have expired and are not deleted, by name."""
    return _load(tx, keys.c.deleted_ms.is_(None) & (keys.c.expires_ms <= now_ms))


def changed_since(tx: Transaction, epoch: int) -> list[Key]:
    """The keys that changed after `epoch`, deleted ones too as long as nobody else may have their name."""
    return _load(tx, (keys.c.epoch > epoch) & keys.c.folded.not_like(f"{_FREED}%"))


def freed_since(tx: Transaction, epoch: int) -> list[int]:
    """The ids of the keys that were deleted for good after `epoch`."""
    freed = (keys.c.epoch > epoch) & keys.c.folded.like(f"{_FREED}%")
    return list(tx.execute(sa.select(keys.c.id).where(freed)).scalars())


def used_since(tx: Transaction, ms: int) -> list[LastUse]:
    """When, by which client and from where the generations used since a moment were used last."""
    of = key_generations.c
    query = sa.select(of.key_id, of.number, of.last_used_ms, of.last_client, of.last_address)
    return [
        LastUse(row.key_id, row.number, from_ms(row.last_used_ms), row.last_client, row.last_address)
        for row in tx.execute(query.where(of.last_used_ms >= ms))
    ]


def names(tx: Transaction) -> list[str]:
    return list(tx.execute(sa.select(keys.c.name).where(keys.c.deleted_ms.is_(None))).scalars())


def stamp(tx: Transaction, key_id: int, epoch: int) -> None:
    """Have running proxies read the key again."""
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(epoch=epoch))


def set_state(tx: Transaction, key_id: int, state: KeyState) -> None:
    touch(tx, "keys", key_id)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(state=state.value))


def delete(tx: Transaction, key_id: int, at_ms: int) -> None:
    """Take a key away: one that was admitted is so no more, one that was not keeps why."""
    touch(tx, "keys", key_id)
    state = sa.case((keys.c.state == KeyState.ACTIVE.value, KeyState.DELETED.value), else_=keys.c.state)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(state=state, deleted_ms=at_ms))


def restore(tx: Transaction, key_id: int) -> None:
    """Undo `delete`: the key is what it was."""
    touch(tx, "keys", key_id)
    state = sa.case((keys.c.state == KeyState.DELETED.value, KeyState.ACTIVE.value), else_=keys.c.state)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(state=state, deleted_ms=None))


def free_name(tx: Transaction, key: Key) -> None:
    """Let another key have its name; reports still call it by it."""
    touch(tx, "keys", key.id)
    tx.execute(sa.update(keys).where(keys.c.id == key.id).values(folded=f"{_FREED}{key.public_id}"))


def set_policy(tx: Transaction, key_id: int, policy: Policy) -> None:
    touch(tx, "keys", key_id)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(policy=dump_policy(policy)))


def set_tags(tx: Transaction, key_id: int, tags: Mapping[str, str]) -> None:
    touch(tx, "keys", key_id)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(tags=json.dumps(dict(tags), sort_keys=True)))


def set_expiry(tx: Transaction, key_id: int, expires_ms: int | None) -> None:
    touch(tx, "keys", key_id)
    tx.execute(sa.update(keys).where(keys.c.id == key_id).values(expires_ms=expires_ms))


def set_generation_state(
    tx: Transaction,
    key_id: int,
    number: int,
    state: GenerationState,
    *,
    activated_ms: int | None = None,
    valid_until_ms: int | None = None,
) -> None:
    """Set the state and the times that are given."""
    touch(tx, "keys", key_id)
    changes: dict[str, Any] = {"state": state.value}
    if activated_ms is not None:
        changes["activated_ms"] = activated_ms
    if valid_until_ms is not None:
        changes["valid_until_ms"] = valid_until_ms
    one = (key_generations.c.key_id == key_id) & (key_generations.c.number == number)
    tx.execute(sa.update(key_generations).where(one).values(changes))


def dump_policy(policy: Policy) -> str:
    stored = {
        "models": list(policy.models),
        "endpoints": list(policy.endpoints),
        "expose": policy.expose,
        "pin": policy.pin,
        "addresses": list(policy.addresses),
        "isolation": policy.isolation,
        "rotate_every_s": policy.rotate_every_s,
        "attribute": policy.attribute,
        "clamp": policy.clamp,
        "bound_pico": policy.bound_pico,
        "free_aborts": policy.free_aborts,
    }
    return json.dumps(stored, sort_keys=True)


@lru_cache(maxsize=1024)
def load_policy(text: str) -> Policy:
    """What a policy was stored without, being older than the field, is as in `Policy()`. Most keys have one of few."""
    stored, usual = json.loads(text), Policy()
    return Policy(
        models=tuple(stored.get("models", usual.models)),
        endpoints=tuple(stored.get("endpoints", usual.endpoints)),
        expose=stored.get("expose", usual.expose),
        pin=stored.get("pin", usual.pin),
        addresses=tuple(stored.get("addresses", usual.addresses)),
        isolation=stored.get("isolation", usual.isolation),
        rotate_every_s=stored.get("rotate_every_s", usual.rotate_every_s),
        attribute=stored.get("attribute", usual.attribute),
        clamp=stored.get("clamp", usual.clamp),
        bound_pico=stored.get("bound_pico", usual.bound_pico),
        free_aborts=stored.get("free_aborts", usual.free_aborts),
    )


def _load(tx: Transaction, wanted: sa.ColumnElement[bool]) -> list[Key]:
    rows = tx.execute(_KEYS.where(wanted)).all()
    generations = _generations(tx, wanted)
    return [_key(row, tuple(generations[row.id])) for row in rows]


def _generations(tx: Transaction, wanted: sa.ColumnElement[bool]) -> Mapping[int, list[Generation]]:
    """The generations of the wanted keys, newest first, by key id."""
    ids = _KEYS.with_only_columns(keys.c.id).where(wanted).order_by(None)
    query = (
        sa.select(key_generations).where(key_generations.c.key_id.in_(ids)).order_by(key_generations.c.number.desc())
    )
    found: dict[int, list[Generation]] = defaultdict(list)
    for row in tx.execute(query).all():
        found[row.key_id].append(_generation(row))
    return found


def _key(row: sa.Row[Any], generations: tuple[Generation, ...]) -> Key:
    if row.state == KeyState.REVOKED:
        generations = tuple(_revoked(generation) for generation in generations)
    return Key(
        id=row.id,
        public_id=row.public_id,
        name=row.name,
        project_id=row.project_id,
        customer=row.customer,
        project=row.project,
        env=row.env,
        state=KeyState(row.state) if row.deleted_ms is None else KeyState.DELETED,
        policy=load_policy(row.policy),
        tags=json.loads(row.tags) if row.tags != _NO_TAGS else {},
        created_at=from_ms(row.created_ms),
        expires_at=_moment(row.expires_ms),
        generations=generations,
        deleted_at=_moment(row.deleted_ms),
        suspended_by=_suspended_by(row),
    )


def _suspended_by(row: sa.Row[Any]) -> str | None:
    if row.all_suspended:
        return "all"
    if row.customer_suspended:
        return f"customer:{row.customer}"
    return f"project:{row.customer}/{row.project}" if row.project_suspended else None


def _revoked(generation: Generation) -> Generation:
    """Revoking a key changes one word, so that it can be sealed later; its generations read as revoked with it."""
    usable = (GenerationState.PENDING, GenerationState.ACTIVE, GenerationState.GRACE)
    return replace(generation, state=GenerationState.REVOKED) if generation.state in usable else generation


def _generation(row: sa.Row[Any]) -> Generation:
    return Generation(
        number=row.number,
        state=GenerationState(row.state),
        masked=row.masked,
        created_at=from_ms(row.created_ms),
        activated_at=_moment(row.activated_ms),
        valid_until=_moment(row.valid_until_ms),
        last_used_at=_moment(row.last_used_ms),
        last_client=row.last_client,
        last_address=row.last_address,
        grace=None if row.grace_ms is None else timedelta(milliseconds=row.grace_ms),
        adopted=bool(row.adopted),
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
