"""The vault's tables: slots, data-key generations, sealed records, and the few facts in `meta`.

Everything here is either public or encrypted; opening it is the business of `keyvault.vault`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.vault import Compartment, DataKey, Slot, SlotKind, SlotScope
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import meta, sealed_records, vault_generations, vault_slots


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


def record(tx: Transaction, record_id: str) -> SealedRecord | None:
    row = tx.execute(sa.select(sealed_records).where(sealed_records.c.id == record_id)).first()
    return None if row is None else _record(row)


def records(tx: Transaction, purpose: str) -> list[SealedRecord]:
    """All records of a purpose, by id."""
    query = sa.select(sealed_records).where(sealed_records.c.purpose == purpose).order_by(sealed_records.c.id)
    return [_record(row) for row in tx.execute(query)]


def put_record(tx: Transaction, sealed: SealedRecord, updated_ms: int) -> None:
    """Insert a record, or replace the one with its id."""
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


def delete_record(tx: Transaction, record_id: str) -> None:
    tx.execute(sa.delete(sealed_records).where(sealed_records.c.id == record_id))


def count_records(tx: Transaction) -> dict[str, int]:
    """How many records there are of each purpose."""
    query = sa.select(sealed_records.c.purpose, sa.func.count()).group_by(sealed_records.c.purpose)
    return {str(purpose): int(count) for purpose, count in tx.execute(query)}


def _record(row: sa.Row[tuple[object, ...]]) -> SealedRecord:
    return SealedRecord(row.id, row.purpose, row.generation, row.version, bytes(row.blob))
