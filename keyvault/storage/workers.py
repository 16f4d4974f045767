"""The workers table: rows in, domain values out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.workers import Worker
from keyvault.storage.compiled import Prepared
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import workers

_BEAT: Final = Prepared(
    sa.update(workers)
    .where(workers.c.id == sa.bindparam("worker", type_=sa.Text))
    .values(heartbeat_ms=sa.bindparam("at_ms", type_=sa.BigInteger), state=sa.bindparam("told", type_=sa.Text))
)


def insert(tx: Transaction, worker: Worker) -> None:
    row = {
        "id": worker.id,
        "pid": worker.pid,
        "host": worker.host,
        "listen": worker.listen,
        "admin": worker.admin,
        "version": worker.version,
        "started_ms": to_ms(worker.started_at),
        "heartbeat_ms": to_ms(worker.heartbeat_at),
        "state": json.dumps(dict(worker.state)),
    }
    tx.execute(sa.insert(workers).values(row))


def beat(tx: Transaction, worker_id: str, at_ms: int, state: Mapping[str, Any]) -> bool:
    """Write a heartbeat; False where the worker has no row."""
    return _BEAT.touch(tx, {"worker": worker_id, "at_ms": at_ms, "told": json.dumps(dict(state))}) > 0


def set_addresses(tx: Transaction, worker_id: str, listen: str, admin: str) -> None:
    tx.execute(sa.update(workers).where(workers.c.id == worker_id).values(listen=listen, admin=admin))


def delete(tx: Transaction, worker_id: str) -> None:
    tx.execute(sa.delete(workers).where(workers.c.id == worker_id))


def delete_silent_since(tx: Transaction, ms: int) -> None:
    """Clear away workers whose last heartbeat is older than `ms`."""
    tx.execute(sa.delete(workers).where(workers.c.heartbeat_ms < ms))


def list_workers(tx: Transaction, heard_since_ms: int = 0) -> list[Worker]:
    """The workers heard from at or after a time, oldest first."""
    query = (
        sa.select(workers).where(workers.c.heartbeat_ms >= heard_since_ms).order_by(workers.c.started_ms, workers.c.id)
    )
    return [_worker(row) for row in tx.execute(query)]


def _worker(row: sa.Row[Any]) -> Worker:
    return Worker(
        id=row.id,
        pid=row.pid,
        host=row.host,
        listen=row.listen,
        admin=row.admin,
        version=row.version,
        started_at=from_ms(row.started_ms),
        heartbeat_at=from_ms(row.heartbeat_ms),
        state=json.loads(row.state),
    )
