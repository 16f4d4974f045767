"""Downstream keys from creation to revocation.

Every change is one transaction: the rows, the audit entry and the epoch that running proxies watch. A secret is
returned once, by the call that minted it, and is stored nowhere. Only minting needs the vault; everything that takes
access away works while it is locked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import (
    DEFAULT_PROJECT,
    UNCHANGED,
    Generation,
    GenerationState,
    Key,
    KeyState,
    Policy,
    PolicyChange,
    Project,
    Unchanged,
)
from keyvault.domain.names import check_tags, split_project
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.keys import rotation
from keyvault.keys.adoption import check_adoptable
from keyvault.keys.customers import NO_TAGS, project_made
from keyvault.keys.known import KnownKeys, existing_key, existing_project
from keyvault.keys.making import (
    DEFAULT_POLICY,
    KeyChange,
    NewKey,
    by_id,
    change_key,
    check_future,
    insert_key,
)
from keyvault.keys.minting import MintingVault, adopt_key, all_peppers, current_pepper, mint_next
from keyvault.keys.rotation import Rotation
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.seals import touch

KeyRule = Callable[[Transaction, ScopeRef], object]
"""Gives a key a budget or a limit, in the transaction that makes or changes it."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A new key and, this once, its secret."""

    key: Key
    secret: Secret


class Keys(KnownKeys):
    """The service behind `gwctl keys`. Names are found without regard to case."""

    def __init__(self, database: Database, vault: MintingVault, clock: Clock) -> None:
        super().__init__(database)
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
        rules: Iterable[KeyRule] = (),
    ) -> Minted:
        """Create a key whose first generation is active at once, with its `rules`: it never is without them.

        Raises `Conflict` for a name in use, `NotFound` for an unknown project unless `create_missing`.
        """
        split_project(project)
        new = NewKey(name, env, policy, expires_at, tags).checked(self._clock.now())
        pepper = current_pepper(self._vault)
        with self._database.change() as tx:
            key = insert_key(tx, self._clock, new, self._owner(tx, project, create_missing))
            secret = mint_next(tx, self._clock, pepper, key, grace=None)
            for rule in rules:
                rule(tx, ScopeRef(ScopeKind.KEY, key.id, key.name))
            return Minted(by_id(tx, key.id), secret)

    def adopt(
        self, new: NewKey, secret: Secret, *, project: str = DEFAULT_PROJECT, create_missing: bool = False, force: bool
    ) -> Key:
        """Take over a token of another gateway: a key that it opens at once, due for rotation.

        Raises `UsageError` for a token that may not be adopted, `Conflict` for a token or a name in use.
        """
        check_adoptable(secret, force=force)
        split_project(project)
        new = new.checked(self._clock.now())
        peppers = all_peppers(self._vault)
        with self._database.change() as tx:
            owner = self._owner(tx, project, create_missing)
            return adopt_key(tx, self._clock, peppers, new, owner, secret)

    def _owner(self, tx: Transaction, project: str, create_missing: bool) -> Project:
        if create_missing:
            return project_made(tx, self._clock, project)
        return existing_project(tx, project, otherwise=f"gwctl projects create {project}, or add --create")

    def update(
        self,
        name: str,
        *,
        policy: PolicyChange | Policy | None = None,
        expires_at: datetime | Unchanged | None = UNCHANGED,
        tags: Mapping[str, str] | None = None,
        rules: Iterable[KeyRule] = (),
    ) -> Key:
        """Set what is given, its `rules` with it; `tags` replace all tags, `expires_at=None` removes the expiry.

        What a `PolicyChange` leaves out is as it is on record at that moment, whoever changed it last.
        """
        change = KeyChange(_policy_change(policy), expires_at, UNCHANGED if tags is None else check_tags(tags))
        change.policy.applied(DEFAULT_POLICY)
        if not isinstance(expires_at, Unchanged):
            check_future(expires_at, self._clock.now())
        with self._database.change() as tx:
            key = change_key(tx, self._clock, existing_key(tx, name), change)
            for rule in rules:
                rule(tx, ScopeRef(ScopeKind.KEY, key.id, key.name))
            return key

    def rotate(
        self,
        name: str,
        grace: timedelta,
        *,
        if_older_than: timedelta | None = None,
        end_grace: bool = False,
        dead: Generation | None = None,
    ) -> Rotation:
        """Mint the next generation, pending until it is used or acknowledged; the old one then has `grace` left.

        With `if_older_than`, nothing changes while the newest usable generation is younger. Raises `UnderWay` while
        another generation is pending or in grace, unless `end_grace` drops it; a `dead` pending one is dropped anyhow.
        This is one step of a rotation; `Rotations` is all of it, delivery included.
        """
        rotation.check_grace(grace)
        pepper = current_pepper(self._vault)
        with self._database.change() as tx:
            key, now = existing_key(tx, name), self._clock.now()
            rotation.check_can_rotate(key, now)
            if if_older_than is not None and (young := rotation.unchanged(key, now, if_older_than, dead=dead)):
                return young
            rotation.make_room(tx, self._clock, key, end_grace=end_grace, dead=dead)
            previous = key.generation_in(GenerationState.ACTIVE, now)
            secret = mint_next(tx, self._clock, pepper, key, grace=grace)
            rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
            key = by_id(tx, key.id)
            number = key.generations[0].number
            told = {"id": key.public_id, "generation": number, "grace_s": grace.total_seconds()}
            audit.record(tx, self._clock, "keys.rotate", f"key:{key.name}", **told)
        return Rotation(True, key, secret, number, previous.number if previous else None, None)

    def acknowledge(self, name: str, generation: int) -> Key:
        """Say that a generation's secret was delivered: if pending, it is active now and the old one's grace starts."""
        with self._database.change() as tx:
            key = existing_key(tx, name)
            rotation.refuse_ended(key)
            rotation.activate(tx, self._clock, key, generation, self._clock.now(), by="delivery")
            return by_id(tx, key.id)

    def abandon(self, name: str, generation: int) -> Key:
        """Drop a pending generation whose delivery failed, unless it was used; the old one stays as it is."""
        with self._database.change() as tx:
            key = existing_key(tx, name)
            rotation.abandon(tx, self._clock, key, generation)
            return by_id(tx, key.id)

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
                touch(tx, "keys", key.id)  # so that one which only looks so is told of
                return {}
            rows.set_state(tx, key.id, state)
            return {"was": key.state.value}

        return self._change(name, action, change, grants=state is KeyState.ACTIVE)

    def _change(
        self, name: str, action: str, change: Callable[[Transaction, Key], dict[str, Any]], *, grants: bool = False
    ) -> Key:
        """Change a key and tell everyone; `change` returns what the audit entry says, nothing where nothing changed.
        What `grants` access needs the vault."""
        with self._database.change() if grants else self._database.write() as tx:
            key = existing_key(tx, name)
            if detail := change(tx, key):
                rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
                audit.record(tx, self._clock, action, f"key:{key.name}", id=key.public_id, **detail)
            return by_id(tx, key.id)


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
    split_project(project)
    NewKey(name, env, policy, expires_at, tags).checked(now)


def _policy_change(policy: PolicyChange | Policy | None) -> PolicyChange:
    """A whole policy replaces every part."""
    if isinstance(policy, Policy):
        return PolicyChange(**{part.name: getattr(policy, part.name) for part in fields(policy)})
    return policy or PolicyChange()
