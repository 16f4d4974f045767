"""Mints a key's next generation, or takes a token over: it is in a `Secret`, only its MAC and its mask are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, Protocol

from keyvault.clock import Clock
from keyvault.domain.keys import GenerationState, Key, Project
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict
from keyvault.keys import token
from keyvault.keys.adoption import mask_adopted
from keyvault.keys.making import NewKey, by_id, insert_key
from keyvault.secrets import Secret
from keyvault.storage import keys as rows
from keyvault.storage.engine import Transaction


class Pepper(NamedTuple):
    """A version of the secret under which tokens are stored."""

    version: int
    secret: bytes


class OpenedForMinting(Protocol):
    """The opened `keys` compartment, as far as minting needs it."""

    def pepper(self) -> tuple[int, bytes]: ...

    def peppers(self) -> Mapping[int, bytes]: ...


class MintingVault(Protocol):
    """The vault, as far as minting needs it."""

    def unlock(self, scope: Compartment, /) -> OpenedForMinting: ...


def current_pepper(vault: MintingVault) -> Pepper:
    """Open the vault, which may take a while or ask: call it before a transaction is open. Raises `Locked`."""
    return Pepper(*vault.unlock(Compartment.KEYS).pepper())


def all_peppers(vault: MintingVault) -> Sequence[Pepper]:
    """Every pepper, the current one first; opens the vault as `current_pepper` does."""
    opened = vault.unlock(Compartment.KEYS)
    current = Pepper(*opened.pepper())
    return [current, *(Pepper(*pepper) for pepper in opened.peppers().items() if pepper[0] != current.version)]


def mint_next(tx: Transaction, clock: Clock, pepper: Pepper, key: Key, *, grace: timedelta | None) -> Secret:
    """Store the key's next generation: active at once where `grace` is None, else pending with that grace."""
    text = token.mint(key.env, key.public_id, clock.random_bytes(token.SECRET_BYTES))
    now_ms = clock.now_ms()
    generation = rows.NewGeneration(
        number=key.generations[0].number + 1 if key.generations else 1,
        mac=token.mac(pepper.secret, text.encode()),
        pepper_version=pepper.version,
        masked=token.mask(text),
        state=GenerationState.ACTIVE if grace is None else GenerationState.PENDING,
        created_ms=now_ms,
        activated_ms=now_ms if grace is None else None,
        grace_ms=None if grace is None else grace // timedelta(milliseconds=1),
    )
    rows.insert_generation(tx, key.id, generation)
    return Secret(text)


def adopt_key(
    tx: Transaction, clock: Clock, peppers: Sequence[Pepper], new: NewKey, owner: Project, secret: Secret
) -> Key:
    """Store a checked key whose first generation is a token that exists elsewhere. Raises `Conflict` for one in use."""
    macs = [token.mac(pepper.secret, secret.reveal().encode()) for pepper in peppers]
    if holder := rows.find_by_mac(tx, macs):
        raise Conflict(f"the token is in use already, by key {holder.name}", hint=f"gwctl keys show {holder.name}")
    key = insert_key(tx, clock, new, owner, "keys.adopt")
    now_ms = clock.now_ms()
    generation = rows.NewGeneration(
        number=1,
        mac=macs[0],
        pepper_version=peppers[0].version,
        masked=mask_adopted(secret),
        state=GenerationState.ACTIVE,
        created_ms=now_ms,
        activated_ms=now_ms,
        adopted=True,
    )
    rows.insert_generation(tx, key.id, generation)
    return by_id(tx, key.id)
