"""Revisions of the routes: numbered snapshots, only ever added."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.routes import Revision, Route, Target
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import revisions
from keyvault.storage.seals import added

NO_ROUTES = Revision(number=0, created_at=from_ms(0), actor="", routes=())
"""What holds before the first change."""


def current(tx: Transaction) -> Revision:
    """The newest revision."""
    return next(iter(newest(tx, 1)), NO_ROUTES)


def newest(tx: Transaction, limit: int) -> list[Revision]:
    """The newest revisions, newest first."""
    rows = tx.execute(sa.select(revisions).order_by(revisions.c.number.desc()).limit(limit))
    return [_revision(row) for row in rows]


def newest_number(tx: Transaction) -> int:
    """The number of the newest revision, 0 where there is none."""
    return tx.execute(sa.select(sa.func.max(revisions.c.number))).scalar_one() or 0


def insert(tx: Transaction, revision: Revision, created_ms: int) -> None:
    snapshot = {
        "routes": [
            {"alias": route.alias, "targets": [{"upstream": t.upstream, "model": t.model} for t in route.targets]}
            for route in revision.routes
        ]
    }
    row = {
        "number": revision.number,
        "created_ms": created_ms,
        "actor": revision.actor,
        "snapshot": json.dumps(snapshot, sort_keys=True),
    }
    tx.execute(sa.insert(revisions).values(row))
    added(tx, "revisions", revision.number)


def _revision(row: sa.Row[Any]) -> Revision:
    return Revision(
        number=row.number,
        created_at=from_ms(row.created_ms),
        actor=row.actor,
        routes=tuple(
            Route(stored["alias"], tuple(Target(t["upstream"], t["model"]) for t in stored["targets"]))
            for stored in json.loads(row.snapshot)["routes"]
        ),
    )
