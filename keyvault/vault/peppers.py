"""Rotation of the pepper, the secret under which downstream tokens are stored.

New tokens use the newest pepper at once; an existing one moves at its next use, when the proxy knows it. At most one
older pepper is kept, so that a look-up costs one HMAC more and never two; destroying it while tokens still need it ends
those tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.keys import GenerationState
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict
from keyvault.storage import epochs
from keyvault.storage import keys as key_rows
from keyvault.storage import peppers as rows
from keyvault.storage import vault as vault_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.peppers import Straggler
from keyvault.vault import history
from keyvault.vault.open_vault import PEPPER
from keyvault.vault.results import FinishedPepper
from keyvault.vault.vault import Vault

PEPPER_BYTES: Final = 32


class Peppers:
    """The service behind `gwctl vault rotate-pepper`."""

    def __init__(self, database: Database, clock: Clock, vault: Vault) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault

    def stragglers(self) -> Sequence[Straggler]:
        """The usable tokens that still need an old pepper; the vault may be locked."""
        with self._database.read() as tx:
            return self._stragglers(tx)

    def rotate(self) -> int:
        """Make a new pepper; its version. Raises `Conflict` while tokens still need an older one than the newest."""
        opened = self._vault.unlock(Compartment.KEYS)
        with self._database.change() as tx:
            if left := self._stragglers(tx):
                raise Conflict(
                    f"{len(left)} tokens have not moved to the newest pepper yet",
                    hint="gwctl vault status --stragglers",
                )
            old = rows.versions(tx)
            self._destroy(tx, old[:-1])
            version = old[-1] + 1
            opened.seal(tx, _record(version), PEPPER, (), self._clock.random_bytes(PEPPER_BYTES), version=version)
            epochs.bump(tx, "keys")
            history.happened(tx, self._clock, history.ROTATED_PEPPER)
            audit.record(tx, self._clock, "vault.rotate-pepper", "vault", version=version)
        return version

    def finish(self, *, losing: bool = False) -> FinishedPepper:
        """Destroy every pepper but the newest. Tokens that still need one stop working for good: raises `Conflict`
        while there are any, unless `losing`."""
        self._vault.unlock(Compartment.KEYS)
        with self._database.change() as tx:
            lost = self._stragglers(tx)
            if lost and not losing:
                raise Conflict(
                    f"{len(lost)} tokens still need the old pepper and would stop working",
                    hint=f"gwctl vault status --stragglers; --confirm pepper-{lost[0].pepper_version}",
                )
            old = rows.versions(tx)[:-1]
            self._destroy(tx, old)
            epoch = epochs.bump(tx, "keys")
            for token in lost:
                key_rows.set_generation_state(tx, token.key_id, token.generation, GenerationState.REVOKED)
                key_rows.stamp(tx, token.key_id, epoch)
            names = sorted({token.key for token in lost})
            audit.record(tx, self._clock, "vault.destroy-peppers", "vault", versions=old, lost=names)
        return FinishedPepper(tuple(old), tuple(lost))

    def _stragglers(self, tx: Transaction) -> list[Straggler]:
        return rows.stragglers(tx, rows.versions(tx)[-1], self._clock.now_ms())

    def _destroy(self, tx: Transaction, versions: Sequence[int]) -> None:
        for version in versions:
            vault_rows.delete_record(tx, _record(version))


def _record(version: int) -> str:
    return f"pepper-{version}"
