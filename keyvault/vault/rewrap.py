"""Rotation of data keys while everything runs: a new generation seals, the old one only opens until nothing needs it.

Records are sealed anew in small batches, each exchanged only if it is still what was read. Killed at any moment, the
rotation is finished by the next one. A record that does not open stays as it is, is named, and keeps its generation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.vault import Compartment
from keyvault.errors import Conflict, SealError, Tampered
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.vault import DECRYPT_ONLY, PRIMARY, SealedRecord
from keyvault.vault import history
from keyvault.vault.credentials import record_identity
from keyvault.vault.generations import new_data_key, open_data_keys
from keyvault.vault.open_vault import COMPARTMENT_OF, UPSTREAM_SECRET, OpenVault
from keyvault.vault.results import DataKeyRotation
from keyvault.vault.vault import Vault

AT_ONCE: Final = 150
"""Records exchanged by one transaction, so that others need not wait long for theirs."""
_KEY_BYTES: Final = 32

Lock = Callable[[timedelta], AbstractContextManager[bool]]
"""Tries for a while to be the only one who rotates; gives whether that worked."""
Progress = Callable[[int, int], None]
"""Records sealed anew so far, and how many there are to be."""


def _silent(_done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Begun:
    """A rotation under way."""

    compartment: Compartment
    generation: int
    resumed: bool
    opened: OpenVault
    """With every data key loaded, the new one too."""

    @property
    def purposes(self) -> tuple[str, ...]:
        return tuple(purpose for purpose, where in COMPARTMENT_OF.items() if where is self.compartment)


class DataKeys:
    """The service behind `gwctl vault rotate-data`."""

    def __init__(self, database: Database, clock: Clock, vault: Vault, lock: Lock) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault
        self._lock = lock

    def rotate(
        self, compartment: Compartment, *, wait: timedelta = timedelta(), progress: Progress = _silent
    ) -> DataKeyRotation:
        """Rotate the data key of one compartment, or finish what an earlier rotation began.

        Whoever waited while another one rotated changes nothing. Raises `Conflict` where another one still rotates
        after `wait`, `Locked` where the unlock secret does not reach the compartment.
        """
        opened = self._vault.unlock(compartment)
        before = self._standing(compartment)
        with self._lock(wait) as held:
            if not held:
                raise Conflict("another process is rotating data keys", hint="--wait-lock 5m")
            begun = self._begin(opened, compartment, before)
            if begun is None:
                reason = "another process rotated it meanwhile"
                return DataKeyRotation(compartment, self._standing(compartment)[0], changed=False, reason=reason)
            rewrapped, left = self._rewrap(begun, progress)
            return self._finish(begun, rewrapped, left)

    def _standing(self, compartment: Compartment) -> tuple[int, bool]:
        """What seals now, and whether a rotation is under way."""
        with self._database.read() as tx:
            found, under_way = rows.primary(tx, compartment), rows.fact(tx, _under_way(compartment)) is not None
        if found is None:
            raise Tampered(f"the vault has no data key for its {compartment.value} compartment")
        return found, under_way

    def _begin(self, opened: OpenVault, compartment: Compartment, before: tuple[int, bool]) -> _Begun | None:
        """Make the new generation the primary one, unless an earlier rotation was cut short after that."""
        access, clock = opened.access, self._clock
        with self._database.change() as tx:
            stored = rows.data_keys(tx)
            resumed = rows.fact(tx, _under_way(compartment)) is not None
            primary = rows.primary(tx, compartment)
            if not resumed and before != (primary, False):
                return None
            if not resumed:
                primary = max(row.data_key.number for row in stored) + 1
                for row in stored:
                    if row.data_key.compartment is compartment and row.data_key.state == PRIMARY:
                        rows.set_data_key_state(tx, row.data_key.number, DECRYPT_ONLY)
                key = clock.random_bytes(_KEY_BYTES)
                rows.insert_data_key(tx, new_data_key(access, primary, compartment, key, clock.now()))
                rows.set_fact(tx, _under_way(compartment), str(primary))
                audit.record(tx, clock, "vault.rotate-data", "vault", compartment=compartment.value, generation=primary)
            keys = open_data_keys(access, rows.data_keys(tx))
        assert primary is not None
        opened = OpenVault(self._database, clock, access, keys, opened.source)
        return _Begun(compartment, primary, resumed, opened)

    def _rewrap(self, begun: _Begun, progress: Progress) -> tuple[int, list[str]]:
        """How many records are under the new generation now, and the ids of those that do not open."""
        with self._database.read() as tx:
            total = rows.count_not_under(tx, begun.purposes, begun.generation)
        done = 0
        progress(done, total)
        while True:
            exchanged, left = 0, list[str]()
            for batch in self._batches(begun):
                exchanged += self._exchange(begun, batch, left)
                progress(done + exchanged, max(total, done + exchanged))
            done += exchanged
            # Records that somebody else wrote meanwhile are met in another round. A rehearsal keeps nothing.
            if not exchanged or self._database.rehearsal:
                return done, left

    def _batches(self, begun: _Begun) -> Iterator[list[SealedRecord]]:
        after = ""
        while True:
            with self._database.read() as tx:
                batch = rows.not_under(tx, begun.purposes, begun.generation, after=after, limit=AT_ONCE)
            if not batch:
                return
            yield batch
            after = batch[-1].id

    def _exchange(self, begun: _Begun, batch: list[SealedRecord], left: list[str]) -> int:
        """Seal a batch anew outside the transaction, and put it in the place of what has not changed since."""
        fresh: list[tuple[SealedRecord, SealedRecord]] = []
        with self._database.read() as tx:
            for sealed in batch:
                try:
                    fresh.append((sealed, begun.opened.resealed(sealed, _identity(tx, sealed), begun.generation)))
                except SealError:
                    left.append(sealed.id)
        with self._database.change() as tx:
            return sum(rows.exchange(tx, old, new) for old, new in fresh)

    def _finish(self, begun: _Begun, rewrapped: int, left: list[str]) -> DataKeyRotation:
        """Destroy every old generation that no record names any more."""
        destroyed = []
        with self._database.change() as tx:
            in_use = rows.generations_in_use(tx, begun.purposes)
            for row in rows.data_keys(tx):
                key = row.data_key
                if key.compartment is begun.compartment and key.state == DECRYPT_ONLY and key.number not in in_use:
                    rows.destroy_data_key(tx, key.number)
                    destroyed.append(key.number)
            rows.drop_fact(tx, _under_way(begun.compartment))
            history.happened(tx, self._clock, history.rotated_data(begun.compartment))
            detail = {"compartment": begun.compartment.value, "rewrapped": rewrapped, "left": len(left)}
            audit.record(tx, self._clock, "vault.destroy-data-keys", "vault", generations=destroyed, **detail)
        return DataKeyRotation(
            begun.compartment,
            begun.generation,
            changed=True,
            resumed=begun.resumed,
            rewrapped=rewrapped,
            destroyed=tuple(destroyed),
            left=tuple(left),
        )


def _identity(tx: Transaction, sealed: SealedRecord) -> tuple[str, ...]:
    return record_identity(tx, sealed.id) if sealed.purpose == UPSTREAM_SECRET else ()


def _under_way(compartment: Compartment) -> str:
    return f"rotating_data.{compartment.value}"
