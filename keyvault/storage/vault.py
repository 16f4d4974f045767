"""The vault's tables: slots, data-key generations, sealed records, and the few facts in `meta`.

Everything here is either public or encrypted; opening it is the business of `keyvault.vault`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.vault import Compartment, DataKey, Slot, SlotKind, SlotScope
from keyvault.storage.engine import Transaction, touched_rows
from keyvault.storage.schema import meta, sealed_records, vault_generations, vault_slots

PRIMARY: Final = "primary"
DECRYPT_ONLY: Final = "decrypt-only"
DESTROYED: Final = "destroyed"
"""States of a generation: it seals new records, it only opens older ones, it is gone."""


_WRITTEN_GENERATION = sa.func.substr(sealed_records.c.blob, 6, 4, type_=sa.LargeBinary)
"""What a record itself says of its generation: the column beside it is only for showing."""

_EXCHANGE = sa.update(sealed_records).where(
    sealed_records.c.id == sa.bindparam("old_id"),
    sealed_records.c.version == sa.bindparam("old_version"),
    sealed_records.c.generation == sa.bindparam("old_generation"),
    sealed_records.c.blob == sa.bindparam("old_blob"),
)
"""Its values are given when it is executed; it is compiled once."""


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A slot as it lies in the database."""

    slot: Slot
    params: str
    """JSON, as written; what it may hold is checked by its kind."""
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredDataKey:
    data_key: DataKey
    wrapped: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedRecord:
    id: str
    purpose: str
    generation: int
    version: int
    blob: bytes = field(repr=False)


def fact(tx: Transaction, name: str) -> str | None:
    """A value of `meta`, None when absent."""
    value = tx.execute(sa.select(meta.c.value).where(meta.c.name == name)).scalar_one_or_none()
    return None if value is None else str(value)


def set_fact(tx: Transaction, name: str, value: str) -> None:
    if tx.execute(sa.update(meta).where(meta.c.name == name).values(value=value)).rowcount == 0:
        tx.execute(sa.insert(meta).values(name=name, value=value))


def drop_fact(tx: Transaction, name: str) -> None:
    tx.execute(sa.delete(meta).where(meta.c.name == name))


def slots(tx: Transaction) -> list[StoredSlot]:
    """All slots, oldest first. Raises `ValueError` for a kind or scope that does not exist."""
    rows = tx.execute(sa.select(vault_slots).order_by(vault_slots.c.created_ms, vault_slots.c.id))
    return [
        StoredSlot(
            Slot(row.id, SlotKind(row.kind), SlotScope(row.scope), from_ms(row.created_ms), row.detail),
            row.params,
            bytes(row.wrapped),
        )
        for row in rows
    ]


def insert_slot(tx: Transaction, stored: StoredSlot) -> None:
    slot = stored.slot
    tx.execute(
        sa.insert(vault_slots).values(
            id=slot.id,
            kind=slot.kind.value,
            scope=slot.scope.value,
            params=stored.params,
            wrapped=stored.wrapped,
            detail=slot.detail,
            created_ms=to_ms(slot.created_at),
        )
    )


def delete_slot(tx: Transaction, slot_id: str) -> None:
    tx.execute(sa.delete(vault_slots).where(vault_slots.c.id == slot_id))


def data_keys(tx: Transaction) -> list[StoredDataKey]:
    """All generations, oldest first."""
    rows = tx.execute(sa.select(vault_generations).order_by(vault_generations.c.number))
    return [
        StoredDataKey(
            DataKey(row.number, Compartment(row.compartment), row.state, from_ms(row.created_ms)), bytes(row.wrapped)
        )
        for row in rows
    ]


def insert_data_key(tx: Transaction, stored: StoredDataKey) -> None:
    key = stored.data_key
    tx.execute(
        sa.insert(vault_generations).values(
            number=key.number,
            compartment=key.compartment.value,
            state=key.state,
            wrapped=stored.wrapped,
            created_ms=to_ms(key.created_at),
        )
    )


def primary(tx: Transaction, compartment: Compartment) -> int | None:
    """The generation that seals new records of a compartment."""
    one = (vault_generations.c.compartment == compartment.value) & (vault_generations.c.state == PRIMARY)
    number = tx.execute(sa.select(sa.func.max(vault_generations.c.number)).where(one)).scalar_one()
    return None if number is None else int(number)


def set_data_key_state(tx: Transaction, number: int, state: str) -> None:
    tx.execute(sa.update(vault_generations).where(vault_generations.c.number == number).values(state=state))


def destroy_data_key(tx: Transaction, number: int) -> None:
    """Leave of a generation only that it was."""
    gone = {"state": DESTROYED, "wrapped": b""}
    tx.execute(sa.update(vault_generations).where(vault_generations.c.number == number).values(gone))


def record(tx: Transaction, record_id: str) -> SealedRecord | None:
    row = tx.execute(sa.select(sealed_records).where(sealed_records.c.id == record_id)).first()
    return None if row is None else _record(row)


def records(tx: Transaction, purpose: str) -> list[SealedRecord]:
    """All records of a purpose, by id."""
    query = sa.select(sealed_records).where(sealed_records.c.purpose == purpose).order_by(sealed_records.c.id)
    return [_record(row) for row in tx.execute(query)]


def put_record(tx: Transaction, sealed: SealedRecord, updated_ms: int) -> None:
    """Insert a record, or replace the one with its id."""
    _touch(tx, sealed.id)
    values = {
        "purpose": sealed.purpose,
        "generation": sealed.generation,
        "version": sealed.version,
        "blob": sealed.blob,
        "updated_ms": updated_ms,
    }
    update = sa.update(sealed_records).where(sealed_records.c.id == sealed.id).values(values)
    if tx.execute(update).rowcount == 0:
        tx.execute(sa.insert(sealed_records).values(id=sealed.id, **values))


def not_under(
    tx: Transaction, purposes: Iterable[str], generation: int, *, after: str, limit: int
) -> list[SealedRecord]:
    """Records that are not sealed under a generation, by id, from the one behind `after` on."""
    query = (
        sa.select(sealed_records)
        .where(_not_under(purposes, generation) & (sealed_records.c.id > after))
        .order_by(sealed_records.c.id)
        .limit(limit)
    )
    return [_record(row) for row in tx.execute(query)]


def count_not_under(tx: Transaction, purposes: Iterable[str], generation: int) -> int:
    query = sa.select(sa.func.count()).select_from(sealed_records).where(_not_under(purposes, generation))
    return int(tx.execute(query).scalar_one())


def generations_in_use(tx: Transaction, purposes: Collection[str]) -> set[int]:
    """Every generation that a record of these purposes names."""
    query = sa.select(_WRITTEN_GENERATION).where(sealed_records.c.purpose.in_(purposes)).distinct()
    return {int.from_bytes(bytes(written), "big") for written in tx.execute(query).scalars()}


def exchange(tx: Transaction, old: SealedRecord, new: SealedRecord) -> bool:
    """Put a record in the place of an old one if that is still there byte for byte; whether it was."""
    same = {"old_id": old.id, "old_version": old.version, "old_generation": old.generation, "old_blob": old.blob}
    exchanged = tx.execute(_EXCHANGE, {**same, "generation": new.generation, "blob": new.blob}).rowcount == 1
    touched = touched_rows(tx)
    if exchanged and touched is not None:
        touched.setdefault(("sealed_records", old.id), old)
    return exchanged


def delete_record(tx: Transaction, record_id: str) -> None:
    _touch(tx, record_id)
    tx.execute(sa.delete(sealed_records).where(sealed_records.c.id == record_id))


def every_record(tx: Transaction) -> list[tuple[str, str, int, int, bytes]]:
    """Id, purpose, generation, version and blob of all sealed records."""
    columns = (sealed_records.c[name] for name in ("id", "purpose", "generation", "version", "blob"))
    return [(row[0], row[1], row[2], row[3], bytes(row[4])) for row in tx.execute(sa.select(*columns))]


def count_records(tx: Transaction) -> dict[str, int]:
    """How many records there are of each purpose."""
    query = sa.select(sealed_records.c.purpose, sa.func.count()).group_by(sealed_records.c.purpose)
    return {str(purpose): int(count) for purpose, count in tx.execute(query)}


def _not_under(purposes: Iterable[str], generation: int) -> sa.ColumnElement[bool]:
    return sealed_records.c.purpose.in_(list(purposes)) & (generation.to_bytes(4, "big") != _WRITTEN_GENERATION)


def _touch(tx: Transaction, record_id: str) -> None:
    """Remember what a record was before it changes, for the manifest."""
    touched = touched_rows(tx)
    if touched is not None and ("sealed_records", record_id) not in touched:
        touched["sealed_records", record_id] = record(tx, record_id)


def _record(row: sa.Row[tuple[object, ...]]) -> SealedRecord:
    return SealedRecord(row.id, row.purpose, row.generation, row.version, bytes(row.blob))
