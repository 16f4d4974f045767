"""Downstream keys from creation to revocation.

Every change is one transaction: the rows, the audit entry and the epoch that running proxies watch. A secret is
returned once, by the call that minted it, and is stored nowhere. Only minting needs the vault; everything that takes
access away works while it is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from keyvault import audit
from keyvault.clock import Clock, rfc3339, to_ms
from keyvault.domain.keys import DEFAULT_PROJECT, ENVIRONMENTS, GenerationState, Key, KeyState, Policy, check_policy
from keyvault.domain.names import check_name, check_tags, not_found, split_project
from keyvault.errors import Conflict, UsageError
from keyvault.keys import rotation, token
from keyvault.keys.customers import NO_TAGS, existing_project, project_made
from keyvault.keys.minting import MintingVault, current_pepper, mint_next
from keyvault.keys.rotation import Rotation
from keyvault.secrets import Secret
from keyvault.storage import customers, epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction

DEFAULT_POLICY: Final = Policy()
LONGEST_GRACE: Final = timedelta(days=365)


class Unchanged(Enum):
    """Says that a value which may be None is left as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key and, this once, its secret."""

    key: Key
    secret: Secret


class Keys:
    """The service behind `gwctl keys`. Names are found without regard to case."""

    def __init__(self, database: Database, vault: MintingVault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def create(
        self,
        name: str,
        *,
        project: str = DEFAULT_PROJECT,
        create_missing: bool = False,
        env: str = "live",
        policy: Policy = DEFAULT_POLICY,
        expires_at: datetime | None = None,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> Minted:
        """Create a key whose first generation is active at once.

        Raises `Conflict` for a name in use, `NotFound` for an unknown project unless `create_missing`.
        """
        check_wanted(name, project, env, policy, expires_at, tags, self._clock.now())
        pepper = current_pepper(self._vault)
        with self._database.write() as tx:
            if existing := rows.find(tx, name):
                raise Conflict(f"key {existing.name} exists already", hint=f"gwctl keys rotate {existing.name}")
            if create_missing:
                owner = project_made(tx, self._clock, project)
            else:
                owner = existing_project(tx, project, otherwise=f"gwctl projects create {project}, or add --create")
            key_id = rows.insert(
                tx,
                public_id=token.public_id(self._clock.random_bytes(token.PUBLIC_ID_BYTES)),
                name=name,
                project_id=owner.id,
                env=env,
                policy=policy,
                tags=dict(tags),
                created_ms=self._clock.now_ms(),
                expires_ms=None if expires_at is None else to_ms(expires_at),
                epoch=epochs.bump(tx, "keys"),
            )
            secret = mint_next(tx, self._clock, pepper, _by_id(tx, key_id), grace=None)
            audit.record(tx, self._clock, "keys.create", f"key:{name}", project=owner.path, env=env)
            return Minted(_by_id(tx, key_id), secret)

    def list(self, *, customer: str | None = None, project: str | None = None) -> Sequence[Key]:
        """All keys by name, or those of a customer or of a project such as `acme/web`."""
        with self._database.read() as tx:
            if customer is not None and customers.find_customer(tx, customer) is None:
                known = [c.name for c in customers.list_customers(tx)]
                raise not_found("customer", customer, known, otherwise="gwctl customers list")
            project_id = None if project is None else existing_project(tx, project).id
            return rows.list_keys(tx, customer=customer, project_id=project_id)

    def get(self, name: str) -> Key:
        """Raises `NotFound`, with the nearest name as a hint."""
        with self._database.read() as tx:
            return _existing(tx, name)

    def find_by_public_id(self, public_id: str) -> Key | None:
        """The key that a token names, None where it is not of this gateway."""
        with self._database.read() as tx:
            return rows.find_by_public_id(tx, public_id)

    def update(
        self,
        name: str,
        *,
        policy: Policy | None = None,
        expires_at: datetime | Unchanged | None = UNCHANGED,
        tags: Mapping[str, str] | None = None,
    ) -> Key:
        """Set what is given; `tags` replace all tags, `expires_at=None` removes the expiry."""
        if policy is not None:
            check_policy(policy)
        if not isinstance(expires_at, Unchanged):
            _check_future(expires_at, self._clock.now())
        tags = None if tags is None else check_tags(tags)

        def change(tx: Transaction, key: Key) -> dict[str, Any]:
            rotation.refuse_ended(key)
            changed: dict[str, Any] = {}
            if policy is not None:
                rows.set_policy(tx, key.id, policy)
                changed["policy"] = rows.dump_policy(policy)
            if not isinstance(expires_at, Unchanged):
                rows.set_expiry(tx, key.id, None if expires_at is None else to_ms(expires_at))
                changed["expires_at"] = rfc3339(expires_at)
            if tags is not None:
                rows.set_tags(tx, key.id, tags)
                changed["tags"] = tags
            return changed

        return self._change(name, "keys.update", change)

    def rotate(
        self, name: str, grace: timedelta, *, if_older_than: timedelta | None = None, end_grace: bool = False
    ) -> Rotation:
        """Mint the next generation, pending until it is used or acknowledged; the old one then has `grace` left.

        With `if_older_than`, nothing changes while the newest usable generation is younger. Raises `Conflict` while
        another generation is pending or in grace, unless `end_grace` drops it.
        """
        if not timedelta() <= grace <= LONGEST_GRACE:
            raise UsageError("grace must be between 0s and 365d", hint="--grace 24h")
        pepper = current_pepper(self._vault)
        with self._database.write() as tx:
            key, now = _existing(tx, name), self._clock.now()
            rotation.check_can_rotate(key, now)
            if if_older_than is not None and (young := rotation.unchanged(key, now, if_older_than)):
                return young
            rotation.make_room(tx, self._clock, key, end_grace=end_grace)
            previous = key.generation_in(GenerationState.ACTIVE, now)
            secret = mint_next(tx, self._clock, pepper, key, grace=grace)
            rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
            key = _by_id(tx, key.id)
            number = key.generations[0].number
            audit.record(
                tx, self._clock, "keys.rotate", f"key:{key.name}", generation=number, grace_s=grace.total_seconds()
            )
        return Rotation(True, key, secret, number, previous.number if previous else None, None)

    def acknowledge(self, name: str, generation: int) -> Key:
        """Say that a generation's secret was delivered: if pending, it is active now and the old one's grace starts."""
        with self._database.write() as tx:
            key = _existing(tx, name)
            rotation.refuse_ended(key)
            rotation.activate(tx, self._clock, key, generation, self._clock.now(), by="delivery")
            return _by_id(tx, key.id)

    def abandon(self, name: str, generation: int) -> Key:
        """Drop a pending generation whose delivery failed; the old one stays as it is."""
        with self._database.write() as tx:
            key = _existing(tx, name)
            rotation.abandon(tx, self._clock, key, generation)
            return _by_id(tx, key.id)

    def revoke(self, name: str) -> Key:
        """End a key and all its generations for good. Revoking twice changes nothing."""

        def change(tx: Transaction, key: Key) -> dict[str, Any]:
            if key.state is KeyState.REVOKED:
                return {}
            rows.set_state(tx, key.id, KeyState.REVOKED)
            return {"was": key.state.value}

        return self._change(name, "keys.revoke", change)

    def suspend(self, name: str) -> Key:
        """Have a key refused until it is resumed."""
        return self._switch(name, "keys.suspend", KeyState.SUSPENDED)

    def resume(self, name: str) -> Key:
        """Admit a suspended key again."""
        return self._switch(name, "keys.resume", KeyState.ACTIVE)

    def _switch(self, name: str, action: str, state: KeyState) -> Key:
        def change(tx: Transaction, key: Key) -> dict[str, Any]:
            rotation.refuse_ended(key)
            if key.state is state:
                return {}
            rows.set_state(tx, key.id, state)
            return {"was": key.state.value}

        return self._change(name, action, change)

    def _change(self, name: str, action: str, change: Callable[[Transaction, Key], dict[str, Any]]) -> Key:
        """Change a key and tell everyone; `change` returns what the audit entry says, nothing where nothing changed."""
        with self._database.write() as tx:
            key = _existing(tx, name)
            if detail := change(tx, key):
                rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
                audit.record(tx, self._clock, action, f"key:{key.name}", **detail)
            return _by_id(tx, key.id)


def check_wanted(
    name: str,
    project: str,
    env: str,
    policy: Policy,
    expires_at: datetime | None,
    tags: Mapping[str, str],
    now: datetime,
) -> None:
    """Raises `UsageError` where no key could be made of this, whatever is on record."""
    check_name("key", name)
    split_project(project)
    check_policy(policy)
    check_tags(tags)
    if env not in ENVIRONMENTS:
        raise UsageError(f"no such environment: {env[:20]!a}", hint="live or test")
    _check_future(expires_at, now)


def _check_future(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise UsageError(f"already past: {rfc3339(expires_at)}", hint="--expires 90d")


def _existing(tx: Transaction, name: str) -> Key:
    key = rows.find(tx, name)
    if key is None:
        raise not_found("key", name, rows.names(tx), otherwise="gwctl keys list")
    return key


def _by_id(tx: Transaction, key_id: int) -> Key:
    key = rows.find_by_id(tx, key_id)
    assert key is not None
    return key
