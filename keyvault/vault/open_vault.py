"""An unlocked vault: seals and opens records, as far as the unlock secret reaches.

A record is bound to the vault, its own id, what it belongs to and its version; a record that was changed, moved or
exchanged raises `Tampered`. Data keys made by another process while this one runs are picked up when first met.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyvault.clock import Clock
from keyvault.domain.vault import Compartment, SlotScope
from keyvault.errors import Locked, Tampered, UnknownGeneration, WrongKey
from keyvault.storage import vault as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.peppers import PEPPER
from keyvault.storage.vault import SealedRecord
from keyvault.vault.generations import Access, DataKeys, open_data_keys
from keyvault.vault.sealing import open_sealed, pae, seal

__all__ = ["CAPTURE_KEY", "COMPARTMENT_OF", "PEPPER", "UPSTREAM_SECRET", "OpenVault"]

UPSTREAM_SECRET: Final = "upstream-secret"
CAPTURE_KEY: Final = "capture-key"
"""Opens what was captured: whoever opens only the `keys` compartment reads nobody's prompts."""
COMPARTMENT_OF: Final[Mapping[str, Compartment]] = {
    UPSTREAM_SECRET: Compartment.UPSTREAM,
    CAPTURE_KEY: Compartment.UPSTREAM,
    PEPPER: Compartment.KEYS,
}
"""Purpose of a record → which data keys seal it."""


class OpenVault:
    """What an unlock secret gave access to. Threads may share it."""

    def __init__(self, database: Database, clock: Clock, access: Access, keys: DataKeys, source: str) -> None:
        self._database = database
        self._clock = clock
        self._access = access
        self._keys = keys
        self.source = source
        """Where the unlock secret came from, for people."""

    @property
    def scope(self) -> SlotScope:
        return self._access.scope

    @property
    def compartments(self) -> tuple[Compartment, ...]:
        return self._access.compartments

    @property
    def access(self) -> Access:
        """The root key or what stands for it; only for making slots."""
        return self._access

    def require(self, compartment: Compartment) -> None:
        """Raise `Locked` where the unlock secret does not open a compartment."""
        if compartment not in self.compartments:
            raise Locked(
                f"{self.source}: it opens only the {self.compartments[0].value} compartment of the vault",
                hint="use the unlock secret of a slot with scope all",
            )

    def seal(
        self, tx: Transaction, record_id: str, purpose: str, identity: tuple[str, ...], plaintext: bytes, version: int
    ) -> None:
        """Write a record. `identity` is what it belongs to; the same must be given to open it."""
        self.require(COMPARTMENT_OF[purpose])
        generation = self._primary(tx, COMPARTMENT_OF[purpose])
        sealed = self._sealed(record_id, purpose, identity, plaintext, version, generation)
        rows.put_record(tx, sealed, self._clock.now_ms())

    def open(self, tx: Transaction, record_id: str, identity: tuple[str, ...]) -> bytes:
        """The plaintext of a record. Raises `Tampered`, `Locked`, `UnknownGeneration` or `FormatTooNew`."""
        return self._open(tx, self._read(tx, record_id), identity)

    def resealed(self, sealed: SealedRecord, identity: tuple[str, ...], generation: int) -> SealedRecord:
        """The same record under another generation, which must be loaded; its version stays. Raises as `open` does."""
        plaintext = self._plaintext(sealed, identity)
        return self._sealed(sealed.id, sealed.purpose, identity, plaintext, sealed.version, generation)

    def pepper(self) -> tuple[int, bytes]:
        """Version and value of the pepper that new downstream tokens use."""
        return max(self.peppers().items())

    def peppers(self) -> dict[int, bytes]:
        """Every pepper that a downstream token may still use, by version."""
        self.require(Compartment.KEYS)
        with self._database.read() as tx:
            found = {record.version: self._open(tx, record, ()) for record in rows.records(tx, PEPPER)}
        if not found:
            raise Tampered("the vault's pepper is missing", hint="restore the database from a backup")
        return found

    def _read(self, tx: Transaction, record_id: str) -> SealedRecord:
        sealed = rows.record(tx, record_id)
        if sealed is None or sealed.purpose not in COMPARTMENT_OF:
            raise Tampered(f"sealed record {record_id} is missing or was changed", hint="gwctl doctor")
        self.require(COMPARTMENT_OF[sealed.purpose])
        return sealed

    def _primary(self, tx: Transaction, compartment: Compartment) -> int:
        """The generation that seals now: one that was rotated out meanwhile may be destroyed any moment."""
        generation = rows.primary(tx, compartment)
        if generation is None:
            raise Tampered(f"the vault has no data key for its {compartment.value} compartment")
        if generation not in self._keys.by_number:
            self._keys = open_data_keys(self._access, rows.data_keys(tx))
        return generation

    def _sealed(
        self, record_id: str, purpose: str, identity: tuple[str, ...], plaintext: bytes, version: int, generation: int
    ) -> SealedRecord:
        ad = self._associated(record_id, identity, version)
        blob = seal(self._keys.by_number[generation], generation, purpose, ad, plaintext)
        return SealedRecord(record_id, purpose, generation, version, blob)

    def _open(self, tx: Transaction, sealed: SealedRecord, identity: tuple[str, ...]) -> bytes:
        """Where a rotation was quicker than this reader, the data keys and the record are read once more."""
        try:
            return self._plaintext(sealed, identity)
        except UnknownGeneration:
            self._keys = open_data_keys(self._access, rows.data_keys(tx))
            return self._plaintext(self._read(tx, sealed.id), identity)

    def _plaintext(self, sealed: SealedRecord, identity: tuple[str, ...]) -> bytes:
        ad = self._associated(sealed.id, identity, sealed.version)
        try:
            return open_sealed(self._keys.by_number, sealed.purpose, ad, sealed.blob)
        except (Tampered, WrongKey, UnknownGeneration) as error:
            # The data keys have been authenticated, so a record they do not fit is a changed record.
            kind = type(error) if isinstance(error, UnknownGeneration) else Tampered
            raise kind(f"sealed record {sealed.id} was changed or does not belong here", hint="gwctl doctor") from None

    def _associated(self, record_id: str, identity: tuple[str, ...], version: int) -> bytes:
        return pae(*(part.encode() for part in (self._access.vault_id, record_id, *identity, str(version))))
