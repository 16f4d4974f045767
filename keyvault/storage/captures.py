"""Rows of captures, and of the customers of whom nothing is captured."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.captures import EVERYTHING, Capture, Ended, Plan
from keyvault.domain.scopes import ScopeKind, ScopeRef
from keyvault.errors import Tampered
from keyvault.storage import scopes
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import captures, customers, keys, projects, uncaptured
from keyvault.storage.seals import added, touch
from keyvault.storage.unvouched import LAST_MS, whole

_EVERY: Final = sa.select(captures).order_by(captures.c.id)


def every(tx: Transaction, *, but: Collection[int] = ()) -> list[Capture]:
    """All captures that have not been deleted, `but` these, in the order in which they were made. Raises `Tampered`."""
    return _read(tx, tx.execute(_EVERY.where(captures.c.id.not_in(but)) if but else _EVERY).all())


def find(tx: Transaction, capture_id: int) -> Capture | None:
    found = _read(tx, tx.execute(_EVERY.where(captures.c.id == capture_id)).all())
    return found[0] if found else None


def insert(tx: Transaction, capture: Capture) -> int:
    kind, scope_id = (EVERYTHING, 0) if capture.scope is None else (capture.scope.kind.value, capture.scope.id)
    values = {
        "scope_kind": kind,
        "scope_id": scope_id,
        "sample_ppm": capture.sample_ppm,
        "plan": json.dumps(capture.plan.written(), sort_keys=True),
        "record_id": capture.record_id,
        "created_ms": to_ms(capture.created_at),
        "until_ms": to_ms(capture.until),
    }
    row_id = int(tx.execute(sa.insert(captures).values(values).returning(captures.c.id)).scalar_one())
    added(tx, "captures", row_id)
    return row_id


def end(tx: Transaction, capture_id: int, reason: Ended, at_ms: int) -> None:
    touch(tx, "captures", capture_id)
    values = {"ended": 1, "ended_ms": at_ms, "reason": reason.value}
    tx.execute(sa.update(captures).where(captures.c.id == capture_id).values(values))


def count(tx: Transaction, capture_id: int, *, taken: int, dropped: int, size: int) -> None:
    """Add to what there is of a capture; nobody vouches for these figures."""
    row = captures.c
    values = {"taken": row.taken + taken, "dropped": row.dropped + dropped, "bytes": row.bytes + size}
    tx.execute(sa.update(captures).where(row.id == capture_id).values(values))


def delete(tx: Transaction, capture_id: int) -> None:
    touch(tx, "captures", capture_id)
    tx.execute(sa.delete(captures).where(captures.c.id == capture_id))


def marked(tx: Transaction) -> Mapping[int, int]:
    """The customers of whom nothing is captured: id of the mark → id of the customer."""
    return {row.id: row.customer_id for row in tx.execute(sa.select(uncaptured.c.id, uncaptured.c.customer_id))}


def marked_customer(tx: Transaction, scope: ScopeRef) -> str | None:
    """The name of the customer that a scope belongs to, where nothing is captured of it."""
    below = sa.select(customers.c.name).join(uncaptured, uncaptured.c.customer_id == customers.c.id)
    table = {ScopeKind.CUSTOMER: customers, ScopeKind.PROJECT: projects, ScopeKind.KEY: keys}[scope.kind]
    if table is not customers:
        below = below.join(projects, projects.c.customer_id == customers.c.id)
    if table is keys:
        below = below.join(keys, keys.c.project_id == projects.c.id)
    return tx.execute(below.where(table.c.id == scope.id)).scalar_one_or_none()


def mark(tx: Transaction, customer_id: int, now_ms: int) -> None:
    """Capture nothing of a customer, who is not marked yet."""
    values = {"customer_id": customer_id, "created_ms": now_ms}
    row_id = int(tx.execute(sa.insert(uncaptured).values(values).returning(uncaptured.c.id)).scalar_one())
    added(tx, "uncaptured", row_id)


def unmark(tx: Transaction, customer_id: int) -> None:
    for mark_id in [mark_id for mark_id, customer in marked(tx).items() if customer == customer_id]:
        touch(tx, "uncaptured", mark_id)
        tx.execute(sa.delete(uncaptured).where(uncaptured.c.id == mark_id))


def _read(tx: Transaction, rows: Any) -> list[Capture]:
    refs = scopes.refs_of(tx, rows)
    return [_capture(row, refs.get((row.scope_kind, row.scope_id))) for row in rows]


def _capture(row: Any, scope: ScopeRef | None) -> Capture:
    try:
        return _told(row, scope)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise Tampered(f"capture {row.id} was changed by something else than gwctl", hint="gwctl doctor") from None


def _told(row: Any, scope: ScopeRef | None) -> Capture:
    return Capture(
        id=row.id,
        scope=scope,
        sample_ppm=row.sample_ppm,
        plan=Plan.read(json.loads(row.plan)),
        record_id=row.record_id,
        created_at=from_ms(row.created_ms),
        until=from_ms(row.until_ms),
        ended=bool(row.ended),
        ended_at=None if row.ended_ms is None else from_ms(whole(row.ended_ms, row.until_ms, LAST_MS)),
        reason=Ended(row.reason) if row.reason in set(Ended) else None,
        taken=whole(row.taken, 0),
        dropped=whole(row.dropped, 0),
        bytes=whole(row.bytes, 0),
    )
