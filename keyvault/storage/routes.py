"""Revisions of the routes: numbered snapshots, only ever added."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from keyvault.clock import from_ms
from keyvault.domain.routes import Choice, Failure, Retries, Revision, Route, Target, Timeouts
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import revisions
from keyvault.storage.seals import added, touch

NO_ROUTES = Revision(number=0, created_at=from_ms(0), actor="", routes=())
"""What holds before the first change."""


def current(tx: Transaction) -> Revision:
    """The newest revision."""
    return next(iter(newest(tx, 1)), NO_ROUTES)


def newest(tx: Transaction, limit: int) -> list[Revision]:
    """The newest revisions, newest first."""
    rows = tx.execute(sa.select(revisions).order_by(revisions.c.number.desc()).limit(limit))
    return [_revision(row) for row in rows]


def at(tx: Transaction, ms: int) -> Revision:
    """The newest revision there was at a time."""
    made = sa.select(revisions).where(revisions.c.created_ms <= ms).order_by(revisions.c.number.desc()).limit(1)
    row = tx.execute(made).one_or_none()
    return NO_ROUTES if row is None else _revision(row)


def numbered(tx: Transaction, number: int) -> Revision | None:
    """The revision of that number."""
    row = tx.execute(sa.select(revisions).where(revisions.c.number == number)).one_or_none()
    return None if row is None else _revision(row)


def rely_on(tx: Transaction, revision: Revision) -> None:
    """Say that what a revision holds goes into a new one: it must be what was sealed, or the transaction fails."""
    touch(tx, "revisions", revision.number)


def newest_number(tx: Transaction) -> int:
    """The number of the newest revision, 0 where there is none."""
    return tx.execute(sa.select(sa.func.max(revisions.c.number))).scalar_one() or 0


def insert(tx: Transaction, revision: Revision, created_ms: int) -> None:
    snapshot = {"routes": [_written(route) for route in revision.routes]}
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
        routes=tuple(_route(stored) for stored in json.loads(row.snapshot)["routes"]),
    )


def _written(route: Route) -> dict[str, Any]:
    """A route as JSON; what is as usual is left out."""
    usual = Route(route.alias, ())
    written: dict[str, Any] = {"alias": route.alias, "targets": list(map(_written_choice, route.primary))}
    written["fallbacks"] = list(map(_written_choice, route.fallbacks))
    if route.timeouts != usual.timeouts:
        written["timeouts"] = {name: value for name, value in asdict(route.timeouts).items() if value is not None}
    if route.retries != usual.retries:
        written["retries"] = {**asdict(route.retries), "on": sorted(route.retries.on)}
    return written if route.affinity else {**written, "affinity": False}


def _written_choice(choice: Choice) -> dict[str, Any]:
    written: dict[str, Any] = {"upstream": choice.target.upstream, "model": choice.target.model}
    if choice.weight != 1:
        written["weight"] = choice.weight
    told = {"defaults": choice.defaults, "overrides": choice.overrides}
    return written | {name: dict(fields) for name, fields in told.items() if fields}


def _route(stored: dict[str, Any]) -> Route:
    """The first snapshots have one list of targets: the first served, the others were fallbacks."""
    choices = [_choice(each) for each in stored["targets"]]
    if "fallbacks" not in stored:
        return Route(stored["alias"], tuple(choices[:1]), tuple(choices[1:]))
    retries = stored.get("retries", {})
    return Route(
        stored["alias"],
        tuple(choices),
        tuple(_choice(each) for each in stored.get("fallbacks", ())),
        Timeouts(**stored.get("timeouts", {})),
        Retries(**{**retries, "on": frozenset(map(Failure, retries["on"]))}) if retries else Retries(),
        stored.get("affinity", True),
    )


def _choice(stored: dict[str, Any]) -> Choice:
    target = Target(stored["upstream"], stored["model"])
    return Choice(target, stored.get("weight", 1), stored.get("defaults", {}), stored.get("overrides", {}))
