"""Drills: rows in, domain values out. Nobody vouches for them, so one that nobody can have started is none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.drills import Drill, Fault, check_lasts
from keyvault.domain.routes import Target
from keyvault.errors import UsageError
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import drills, keys


def insert(tx: Transaction, key_id: int, target: Target, fault: Fault, created_ms: int, until_ms: int) -> int:
    """A new drill; its id."""
    row = {
        "key_id": key_id,
        "upstream": target.upstream,
        "model": target.model,
        "fault": fault.value,
        "created_ms": created_ms,
        "until_ms": until_ms,
    }
    return int(tx.execute(sa.insert(drills).values(row).returning(drills.c.id)).scalar_one())


def running(tx: Transaction, now: datetime) -> list[Drill]:
    """Those that nobody has ended and that are not over, oldest first."""
    found = _read(tx, drills.c.ended_ms.is_(None) & (drills.c.until_ms > to_ms(now)))
    return [drill for drill in found if drill.runs_at(now)]


def newest(tx: Transaction, limit: int) -> list[Drill]:
    """The newest first."""
    return _read(tx, sa.true(), limit)


def find(tx: Transaction, drill_id: int) -> Drill | None:
    return next(iter(_read(tx, drills.c.id == drill_id)), None)


def end(tx: Transaction, drill_id: int, at_ms: int) -> None:
    tx.execute(sa.update(drills).where(drills.c.id == drill_id, drills.c.ended_ms.is_(None)).values(ended_ms=at_ms))


def _read(tx: Transaction, wanted: sa.ColumnElement[bool], limit: int | None = None) -> list[Drill]:
    found = sa.select(drills, keys.c.name.label("key")).join(keys, keys.c.id == drills.c.key_id).where(wanted)
    found = found.order_by(drills.c.id) if limit is None else found.order_by(drills.c.id.desc()).limit(limit)
    return list(_sound(tx.execute(found)))


def _sound(rows: Iterable[Any]) -> Iterator[Drill]:
    for row in rows:
        with contextlib.suppress(ValueError, TypeError, OverflowError, UsageError):
            drill = _drill(row)
            check_lasts(drill.until - drill.created_at)
            yield drill


def _drill(row: Any) -> Drill:
    return Drill(
        id=row.id,
        key_id=row.key_id,
        key=row.key,
        target=Target(row.upstream, row.model),
        fault=Fault(row.fault),
        created_at=from_ms(row.created_ms),
        until=from_ms(row.until_ms),
        ended_at=None if row.ended_ms is None else from_ms(row.ended_ms),
    )
