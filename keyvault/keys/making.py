"""Makes and changes keys within a transaction that its caller opened, for one key or for many at once.

What is wanted is checked before the transaction begins; what is on record decides here. Each change is written with its
audit entry and the epoch that running proxies watch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from keyvault import audit
from keyvault.clock import Clock, rfc3339, to_ms
from keyvault.domain.keys import (
    ENVIRONMENTS,
    UNCHANGED,
    Key,
    Policy,
    PolicyChange,
    Project,
    Unchanged,
    check_policy,
)
from keyvault.domain.names import check_name, check_tags
from keyvault.errors import UsageError
from keyvault.keys import rotation, token
from keyvault.keys.deleting import make_way
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction

DEFAULT_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is to be made."""

    name: str
    env: str = "live"
    policy: Policy = DEFAULT_POLICY
    expires_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def checked(self, now: datetime) -> NewKey:
        """The same, written in one way; raises `UsageError` where no key could be made of it, whatever is on record."""
        check_name("key", self.name)
        if self.env not in ENVIRONMENTS:
            raise UsageError(f"no such environment: {self.env[:20]!a}", hint="live or test")
        check_future(self.expires_at, now)
        return NewKey(self.name, self.env, check_policy(self.policy), self.expires_at, check_tags(self.tags))


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What of a key becomes another; what is `UNCHANGED` stays. `tags` replace all tags."""

    policy: PolicyChange = field(default_factory=PolicyChange)
    expires_at: datetime | Unchanged | None = UNCHANGED
    tags: Mapping[str, str] | Unchanged = UNCHANGED


def check_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise UsageError(f"already past: {rfc3339(expires_at)}", hint="--expires 90d")


def insert_key(tx: Transaction, clock: Clock, new: NewKey, owner: Project, action: str = "keys.create") -> Key:
    """Store a checked key, still without a secret. Raises `Conflict` for a name in use."""
    if existing := rows.find(tx, new.name):
        make_way(tx, clock, existing)
    public_id = token.public_id(clock.random_bytes(token.PUBLIC_ID_BYTES))
    key_id = rows.insert(
        tx,
        public_id=public_id,
        name=new.name,
        project_id=owner.id,
        env=new.env,
        policy=new.policy,
        tags=dict(new.tags),
        created_ms=clock.now_ms(),
        expires_ms=None if new.expires_at is None else to_ms(new.expires_at),
        epoch=epochs.bump(tx, "keys"),
    )
    audit.record(tx, clock, action, f"key:{new.name}", id=public_id, project=owner.path, env=new.env)
    return by_id(tx, key_id)


def change_key(tx: Transaction, clock: Clock, key: Key, change: KeyChange) -> Key:
    """Set what differs. Raises `Conflict` for a key that is revoked or deleted, `UsageError` for a bad value."""
    rotation.refuse_ended(key)
    changed: dict[str, Any] = {}
    policy = change.policy.applied(key.policy)
    if policy != key.policy:
        rows.set_policy(tx, key.id, policy)
        changed["policy"] = rows.dump_policy(policy)
    if not isinstance(change.expires_at, Unchanged) and change.expires_at != key.expires_at:
        check_future(change.expires_at, clock.now())
        rows.set_expiry(tx, key.id, None if change.expires_at is None else to_ms(change.expires_at))
        changed["expires_at"] = rfc3339(change.expires_at)
    if not isinstance(change.tags, Unchanged) and dict(change.tags) != key.tags:
        rows.set_tags(tx, key.id, check_tags(change.tags))
        changed["tags"] = dict(change.tags)
    if changed:
        rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
        audit.record(tx, clock, "keys.update", f"key:{key.name}", id=key.public_id, **changed)
    return by_id(tx, key.id)


def by_id(tx: Transaction, key_id: int) -> Key:
    key = rows.find_by_id(tx, key_id)
    assert key is not None
    return key
