"""Mints a key's next generation: the token leaves in a `Secret`, only its MAC and its mask are stored."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple, Protocol

from keyvault.clock import Clock
from keyvault.domain.keys import GenerationState, Key
from keyvault.domain.vault import Compartment
from keyvault.keys import token
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


class MintingVault(Protocol):
    """The vault, as far as minting needs it."""

    def unlock(self, scope: Compartment, /) -> OpenedForMinting: ...


def current_pepper(vault: MintingVault) -> Pepper:
    """Open the vault, which may take a while or ask: call it before a transaction is open. Raises `Locked`."""
    return Pepper(*vault.unlock(Compartment.KEYS).pepper())


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
