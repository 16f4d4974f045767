"""Takes access away from keys and from everybody, and gives it back.

What takes access away works while the vault is locked and asks for nothing; what gives it back needs the vault. Several
keys are stopped in one transaction: all of them or, where one does not exist, none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import Generation, Key, KeyState
from keyvault.domain.vault import Compartment
from keyvault.errors import CheckFailed, GatewayError, Locked, NotFound
from keyvault.keys import deleting, token
from keyvault.keys.known import existing_key
from keyvault.keys.making import by_id
from keyvault.keys.minting import MintingVault
from keyvault.secrets import Secret
from keyvault.storage import epochs, switch
from keyvault.storage import keys as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.seals import touch


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a token is."""

    key: Key
    generation: Generation | None
    """Which of its secrets; None where only the id in the token was compared."""
    unverified: str | None = None
    """Why only that."""


class Stops:
    """The service behind `gwctl keys revoke|delete|restore`, `gwctl suspend` and `gwctl resume`."""

    def __init__(self, database: Database, vault: MintingVault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    def revoke(self, names: Sequence[str]) -> Sequence[Key]:
        """End keys and all their generations for good; those that are revoked already stay as they are."""
        with self._database.write() as tx:
            found = {key.id: key for key in (existing_key(tx, name) for name in names)}
            for key in found.values():
                self._revoke(tx, key)
            return [by_id(tx, key_id) for key_id in found]

    def _revoke(self, tx: Transaction, key: Key) -> None:
        if key.state is KeyState.REVOKED:
            return
        rows.set_state(tx, key.id, KeyState.REVOKED)
        rows.stamp(tx, key.id, epochs.bump(tx, "keys"))
        told = {"id": key.public_id, "was": key.state.value}
        audit.record(tx, self._clock, "keys.revoke", f"key:{key.name}", **told)

    def delete(self, name: str, *, purge: bool = False) -> Key:
        """Refuse a key at once and hide it; it can be restored for a while, unless `purge`, which gives its name away
        and therefore needs the vault."""
        with self._database.change() if purge else self._database.write() as tx:
            key = existing_key(tx, name)
            deleting.delete(tx, self._clock, key, purge=purge)
            return by_id(tx, key.id)

    def restore(self, name: str) -> Key:
        """Bring a deleted key back as it was. Raises `Conflict`, `Locked`."""
        with self._database.change() as tx:
            key = existing_key(tx, name)
            deleting.restore(tx, self._clock, key)
            return by_id(tx, key.id)

    @property
    def everybody_suspended(self) -> bool:
        """Whether the gateway's own switch is off."""
        with self._database.read() as tx:
            return switch.suspended(tx)

    def suspend_everybody(self) -> bool:
        """Refuse every request until `resume_everybody`; whether anything changed."""
        with self._database.write() as tx:
            return self._switch(tx, suspended=True)

    def resume_everybody(self) -> bool:
        with self._database.change() as tx:
            return self._switch(tx, suspended=False)

    def _switch(self, tx: Transaction, *, suspended: bool) -> bool:
        touch(tx, "gateway", switch.ROW)  # one that only looks as it should is told of
        if switch.suspended(tx) is suspended:
            return False
        switch.set_suspended(tx, suspended)
        epochs.bump(tx, "keys")
        audit.record(tx, self._clock, "gateway.suspend" if suspended else "gateway.resume", "all")
        return True

    def holder(self, secret: Secret) -> Holder:
        """Whose key a token is. Where the vault cannot be opened, the id in the token alone decides, and that is said.

        Raises `NotFound`, `CheckFailed` for a token that only bears a key's id, `Locked` for one of another form.
        """
        presented = secret.reveal().encode("utf-8", "surrogateescape")
        public_id = token.parse(presented)
        try:
            peppers = self._vault.unlock(Compartment.KEYS).peppers()
        except GatewayError as error:
            if public_id is None:
                text = "this token does not name its key, which can be found only with the vault open"
                raise Locked(text, hint="gwctl vault unlock --explain") from None
            return Holder(self._named(public_id), None, error.message)
        macs = [token.mac(pepper, presented) for pepper in peppers.values()]
        with self._database.read() as tx:
            key = rows.find_by_mac(tx, macs)
            number = rows.generation_with(tx, key.id, macs) if key else None
        if key is not None and number is not None:
            return Holder(key, key.generation(number))
        if public_id is None:
            raise NotFound("no key of this gateway has this token", hint="gwctl keys identify")
        named = self._named(public_id)
        text = f"the token bears the id of key {named.name} and is none of its secrets; nothing was changed"
        raise CheckFailed(text, hint=f"gwctl keys revoke {named.name}")

    def _named(self, public_id: str) -> Key:
        with self._database.read() as tx:
            key = rows.find_by_public_id(tx, public_id)
        if key is None:
            raise NotFound("no key of this gateway has this token", hint="gwctl keys identify")
        return key
