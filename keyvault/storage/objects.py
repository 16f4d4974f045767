"""The objects table: who owns what is stored at a provider, and which work there is still to be paid for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from keyvault.domain.objects import State, StoredObject
from keyvault.storage.compiled import insert_into
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import customers, keys, objects, projects

IN_ORDER: Final = 500
"""Ids looked up by one statement."""

_COLUMNS: Final = (
    "object_id",
    "upstream",
    "kind",
    "parent",
    "project_id",
    "key_id",
    "generation",
    "credential_id",
    "created_ms",
    "model",
    "state",
    "due_ms",
)


@dataclass(frozen=True, slots=True)
class OwnedObject:
    """An object with the names of its owner, for people to read."""

    object: StoredObject
    project: str
    """`customer/project`."""
    key: str


def find(tx: Transaction, ids: Collection[str]) -> list[StoredObject]:
    """Every object that has one of these ids, at whatever upstream."""
    ordered = sorted(ids)
    chunks = [ordered[i : i + IN_ORDER] for i in range(0, len(ordered), IN_ORDER)]
    return [
        _object(row)
        for chunk in chunks
        for row in tx.execute(sa.select(*_columns()).where(objects.c.object_id.in_(chunk)))
    ]


def newest(tx: Transaction, project_id: int, kind: str) -> StoredObject | None:
    """The object of a kind that a project made last."""
    of_kind = (objects.c.project_id == project_id) & (objects.c.kind == kind)
    query = sa.select(*_columns()).where(of_kind).order_by(objects.c.created_ms.desc()).limit(1)
    row = tx.execute(query).first()
    return None if row is None else _object(row)


def add(tx: Transaction, found: Iterable[StoredObject]) -> int:
    """Put objects on record; one that is on record keeps its owner. How many were new."""
    is_sqlite = tx.dialect.name == "sqlite"
    statement = insert_into(objects, is_sqlite=is_sqlite).on_conflict_do_nothing()
    return sum(tx.execute(statement, _values(each)).rowcount for each in found)


def replace(tx: Transaction, found: StoredObject) -> None:
    """Put an object on record as this one, whoever had it."""
    forget(tx, found.upstream, found.object_id)
    tx.execute(sa.insert(objects), _values(found))


def forget(tx: Transaction, upstream: str, object_id: str) -> bool:
    return bool(tx.execute(sa.delete(objects).where(_is(upstream, object_id))).rowcount)


def listed(
    tx: Transaction, *, project_id: int | None = None, kind: str | None = None, state: str | None = None, limit: int
) -> list[OwnedObject]:
    """Objects with their owners, newest first."""
    query = (
        sa.select(*_columns(), customers.c.name.label("customer"), projects.c.name.label("project"), keys.c.name)
        .join(projects, objects.c.project_id == projects.c.id)
        .join(customers, projects.c.customer_id == customers.c.id)
        .outerjoin(keys, objects.c.key_id == keys.c.id)
        .order_by(objects.c.created_ms.desc(), objects.c.object_id)
        .limit(limit)
    )
    for column, value in ((objects.c.project_id, project_id), (objects.c.kind, kind), (objects.c.state, state)):
        if value is not None:
            query = query.where(column == value)
    return [OwnedObject(_object(row), f"{row.customer}/{row.project}", row.name or "") for row in tx.execute(query)]


def due(tx: Transaction, now_ms: int, limit: int) -> list[StoredObject]:
    """Pending work that is to be asked about, longest due first."""
    pending = (objects.c.state == State.PENDING.value) & (objects.c.due_ms <= now_ms)
    query = sa.select(*_columns()).where(pending).order_by(objects.c.due_ms).limit(limit)
    return [_object(row) for row in tx.execute(query)]


def postpone(tx: Transaction, found: StoredObject, due_ms: int) -> bool:
    """Take a pending object on, to ask about it again later; False where another worker was first."""
    still = _is(found.upstream, found.object_id) & (objects.c.state == State.PENDING.value)
    same = still & (objects.c.due_ms.is_(None) if found.due_ms is None else objects.c.due_ms == found.due_ms)
    return bool(tx.execute(sa.update(objects).where(same).values(due_ms=due_ms)).rowcount)


def multiplier_ppm(tx: Transaction, key_id: int) -> int | None:
    """What a key's customer pays of a cost, in millionths; None for a key that does not exist."""
    project_id = sa.select(keys.c.project_id).where(keys.c.id == key_id).scalar_subquery()
    query = sa.select(customers.c.multiplier_ppm).join(projects).where(projects.c.id == project_id)
    return tx.execute(query).scalar_one_or_none()


def _is(upstream: str, object_id: str) -> sa.ColumnElement[bool]:
    return (objects.c.object_id == object_id) & (objects.c.upstream == upstream)


def _columns() -> Sequence[sa.Column[Any]]:
    return [objects.c[name] for name in _COLUMNS]


def _values(found: StoredObject) -> dict[str, Any]:
    return {**asdict(found), "state": found.state.value}


def _object(row: Any) -> StoredObject:
    values = row._mapping
    return StoredObject(**{**{name: values[name] for name in _COLUMNS}, "state": State(row.state)})
