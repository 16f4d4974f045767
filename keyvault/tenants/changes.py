"""What the steps of a plan do, in the plan's transaction: through the same functions as single commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import Customer, Key, KeyState, Project, Unchanged
from keyvault.domain.names import fold
from keyvault.errors import UsageError
from keyvault.keys import customers as makers
from keyvault.keys.known import existing_project
from keyvault.keys.making import NewKey, change_key, insert_key
from keyvault.keys.minting import Pepper, adopt_key, mint_next
from keyvault.secrets import Secret
from keyvault.storage import epochs
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction
from keyvault.tenants.wanted import WantedCustomer, WantedKey, WantedProject

T = TypeVar("T")
Do = Callable[[Transaction], None]
Deliver = Callable[[Key, Secret], None]
"""Takes a new key's secret to whoever asked for it; raises where it cannot."""

NOTHING_ADOPTED: Final[Mapping[str, Secret]] = {}


class Changes:
    """Makes the deeds of steps. `peppers` are there when they are done, not when they are only planned."""

    def __init__(
        self,
        clock: Clock,
        peppers: Sequence[Pepper] = (),
        deliver: Deliver | None = None,
        adopted: Mapping[str, Secret] = NOTHING_ADOPTED,
    ) -> None:
        """`adopted`: tokens of another gateway by the name of the key that takes each over."""
        self._clock = clock
        self._peppers = peppers
        self._deliver = deliver
        self._adopted = {fold(name): secret for name, secret in adopted.items()}

    def is_adopted(self, name: str) -> bool:
        return fold(name) in self._adopted

    def make_customer(self, new: Customer) -> Do:
        def do(tx: Transaction) -> None:
            made = makers.make_customer(tx, self._clock, new.name, new.multiplier_ppm, new.tags)
            if new.suspended or new.never_capture:
                never, suspended = new.never_capture, new.suspended or None
                makers.change_customer(tx, self._clock, made, suspended=suspended, never_capture=never)

        return do

    def change_customer(self, found: Customer, one: WantedCustomer) -> Do:
        return lambda tx: makers.change_customer(
            tx,
            self._clock,
            found,
            multiplier_ppm=_given(one.multiplier_ppm),
            tags=_given(one.tags),
            suspended=_given(one.suspended),
            never_capture=_given(one.never_capture),
        )

    def suspend_customer(self, found: Customer) -> Do:
        return lambda tx: makers.change_customer(tx, self._clock, found, suspended=True)

    def make_project(self, new: Project) -> Do:
        def do(tx: Transaction) -> None:
            owner = makers.existing_customer(tx, new.customer)
            made = makers.make_project(tx, self._clock, owner, new.name, new.tags)
            if new.suspended:
                makers.change_project(tx, self._clock, made, suspended=True)

        return do

    def change_project(self, found: Project, one: WantedProject) -> Do:
        return lambda tx: makers.change_project(
            tx, self._clock, found, tags=_given(one.tags), suspended=_given(one.suspended)
        )

    def make_key(self, new: NewKey, path: str, *, suspended: bool) -> Do:
        def do(tx: Transaction) -> None:
            owner = existing_project(tx, path)
            if (token := self._adopted.get(fold(new.name))) is not None:
                key = adopt_key(tx, self._clock, self._peppers, new, owner, token)
            else:
                key = self._mint(tx, new, owner)
            if suspended:
                self._switch(tx, key, KeyState.SUSPENDED, "keys.suspend")

        return do

    def change_key(self, found: Key, one: WantedKey) -> Do:
        def do(tx: Transaction) -> None:
            change_key(tx, self._clock, found, one.change)
            if one.suspended is True and found.state is not KeyState.SUSPENDED:
                self._switch(tx, found, KeyState.SUSPENDED, "keys.suspend")
            elif one.suspended is False and found.state is KeyState.SUSPENDED:
                self._switch(tx, found, KeyState.ACTIVE, "keys.resume")

        return do

    def revoke_key(self, found: Key) -> Do:
        return lambda tx: self._switch(tx, found, KeyState.REVOKED, "keys.revoke")

    def _mint(self, tx: Transaction, new: NewKey, owner: Project) -> Key:
        if self._deliver is None:
            raise UsageError("a new key's secret needs a place", hint=f"gwctl keys create {new.name}")
        key = insert_key(tx, self._clock, new, owner)
        self._deliver(key, mint_next(tx, self._clock, self._peppers[0], key, grace=None))
        return key

    def _switch(self, tx: Transaction, key: Key, state: KeyState, action: str) -> None:
        rows.set_state(tx, key.id, state)
        rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
        audit.record(tx, self._clock, action, f"key:{key.name}", id=key.public_id, was=key.state.value)


def _given(value: T | Unchanged) -> T | None:
    return None if isinstance(value, Unchanged) else value
