"""Rows that close a month: statements and credit notes, adjustments that wait for one, and what of the ledger belongs
to neither totals nor entries.

Sums of money are made in parts, as SQLite's overflow at nine million dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import ulid_at
from keyvault.domain.objects import State
from keyvault.domain.statements import Document, Statement, digest, written
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import (
    adjustments,
    attempts,
    audit,
    balance_entries,
    balance_spending,
    customers,
    objects,
    open_attempts,
    statements,
)
from keyvault.storage.seals import added, touch

_PART: Final = 10**6
_LATE_MS: Final = 86_400_000
"""How much later than its request an attempt may begin: no route tries for so long."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A statement or credit note as it is stored."""

    id: int
    number: str
    kind: str
    customer: str
    month: str | None
    zone: str
    credits: str | None
    amount_cents: int
    content: str
    digest: bytes
    created_ms: int


@dataclass(frozen=True, slots=True)
class NewAdjustment:
    """What a customer without a balance owes more, or less."""

    customer_id: int
    project: str
    model: str
    amount_pico: int
    reason: str
    corrects_ms: int = 0
    """The newest moment that it is about: it stands on no month that was over by then."""


@dataclass(frozen=True, slots=True)
class Period:
    """Of which month, in which zone, a customer has a statement."""

    customer_id: int
    number: str
    month: str
    zone: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """An adjustment that stands on no statement yet."""

    id: int
    project: str
    model: str
    amount_pico: int
    reason: str


# Statements and credit notes


def insert(tx: Transaction, customer_id: int, document: Document) -> None:
    content = written(document)
    row = {
        "number": document.number,
        "kind": document.kind,
        "customer_id": customer_id,
        "month": document.month if isinstance(document, Statement) else None,
        "zone": document.zone,
        "credits": None if isinstance(document, Statement) else document.credits,
        "amount_cents": document.cents,
        "content": content,
        "digest": digest(content),
        "created_ms": document.issued_ms,
    }
    made = tx.execute(sa.insert(statements).values(row).returning(statements.c.id)).scalar_one()
    added(tx, "statements", int(made))


def every(tx: Transaction) -> list[Frozen]:
    """In the order in which they were issued."""
    return _frozen(tx, sa.true())


def find(tx: Transaction, number: str) -> Frozen | None:
    return next(iter(_frozen(tx, statements.c.number == number)), None)


def of_customer(tx: Transaction, customer_id: int) -> list[Frozen]:
    """In the order in which they were issued."""
    return _frozen(tx, statements.c.customer_id == customer_id)


def credits_of(tx: Transaction, number: str) -> list[Frozen]:
    """The credit notes that refer to a statement."""
    return _frozen(tx, statements.c.credits == number)


def periods(tx: Transaction, customer_id: int | None = None) -> list[Period]:
    """Which months are closed, of one customer or of all, in the order of issue; without what the statements say."""
    columns = (statements.c.customer_id, statements.c.number, statements.c.month, statements.c.zone)
    query = sa.select(*columns).where(statements.c.month.is_not(None)).order_by(statements.c.id)
    if customer_id is not None:
        query = query.where(statements.c.customer_id == customer_id)
    return [Period(*row) for row in tx.execute(query)]


def numbers(tx: Transaction, actions: Sequence[str], behind: int = 0) -> set[str]:
    """Every number that was given behind an entry of the audit log, also those that only that knows, after a restore;
    and all that there are. `actions`: what the log calls the giving of one."""
    given = audit.c.action.in_(actions) & (audit.c.seq > behind)
    told = tx.execute(sa.select(audit.c.scope).where(given)).scalars()
    return {*tx.execute(sa.select(statements.c.number)).scalars(), *(scope.partition(":")[2] for scope in told)}


def _frozen(tx: Transaction, which: sa.ColumnElement[bool]) -> list[Frozen]:
    columns = [statements.c[name] for name in Frozen.__slots__ if name != "customer"]
    query = sa.select(*columns, customers.c.name.label("customer")).join(customers).where(which)
    return [
        Frozen(**{**row, "digest": bytes(row["digest"])})
        for row in tx.execute(query.order_by(statements.c.id)).mappings()
    ]


# Adjustments that wait for a statement


def add_waiting(tx: Transaction, lines: Iterable[NewAdjustment], created_ms: int) -> None:
    for line in lines:
        values = {**asdict(line), "created_ms": created_ms}
        made = tx.execute(sa.insert(adjustments).values(values).returning(adjustments.c.id)).scalar_one()
        added(tx, "adjustments", int(made))


def waiting(tx: Transaction, last_ms: int, customer_id: int | None = None) -> Mapping[int, list[Waiting]]:
    """Those that may stand on a month that ends at `last_ms`, by customer id, in the order in which they were made."""
    fitting = adjustments.c.statement.is_(None) & (adjustments.c.corrects_ms < last_ms)
    query = sa.select(adjustments).where(fitting).order_by(adjustments.c.id)
    if customer_id is not None:
        query = query.where(adjustments.c.customer_id == customer_id)
    found: dict[int, list[Waiting]] = {}
    for row in tx.execute(query):
        item = Waiting(row.id, row.project, row.model, row.amount_pico, row.reason)
        found.setdefault(row.customer_id, []).append(item)
    return found


def place(tx: Transaction, ids: Sequence[int], number: str) -> None:
    """Say on which statement adjustments stand."""
    touch(tx, "adjustments", *ids)
    for adjustment_id in ids:
        tx.execute(sa.update(adjustments).where(adjustments.c.id == adjustment_id).values(statement=number))


# The ledger


def unknown_charges(tx: Transaction, first_ms: int, last_ms: int) -> Mapping[tuple[int, int, int], int]:
    """Key, project and target id → attempts of a span whose charge nobody knows. Reads the span's rows."""
    ids = (attempts.c.key_id, attempts.c.project_id, attempts.c.target_id)
    unknown = within(first_ms, last_ms) & attempts.c.charge_pico.is_(None)
    query = sa.select(*ids, sa.func.count()).where(unknown).group_by(*ids)
    return {(row[0], row[1], row[2]): int(row[3]) for row in tx.execute(query)}


def still_open(tx: Transaction, last_ms: int) -> list[tuple[int, int]]:
    """Key and project id of every attempt that began before a moment and is not settled."""
    query = sa.select(open_attempts.c.key_id, open_attempts.c.project_id).where(open_attempts.c.started_ms < last_ms)
    return [(row[0], row[1]) for row in tx.execute(query)]


def pending_work(tx: Transaction, last_ms: int) -> list[tuple[int, int]]:
    """Key and project id of all work at providers that began before a moment and is paid for when it is done."""
    pending = (objects.c.state == State.PENDING.value) & (objects.c.created_ms < last_ms)
    return [(row[0], row[1]) for row in tx.execute(sa.select(objects.c.key_id, objects.c.project_id).where(pending))]


def taken(tx: Transaction, first_ms: int, last_ms: int) -> Mapping[int, tuple[int, int]]:
    """Balance id → charge and doubt of the attempts that began in a span."""
    return {row[0]: _sums(row[1:]) for row in tx.execute(_drawn(first_ms, last_ms))}


def taken_before(tx: Transaction, last_ms: int) -> Mapping[int, tuple[int, int]]:
    """Balance id → charge and doubt of all attempts that began before a moment: what was taken so far, without what
    began since. One statement, as the ledger goes on meanwhile."""
    later = _drawn(last_ms, None).subquery()
    own = (balance_spending.c.balance_id, balance_spending.c.charged_pico, balance_spending.c.doubt_pico)
    query = sa.select(*own, *list(later.c)[1:]).outerjoin(later, later.c.balance_id == balance_spending.c.balance_id)
    found = {}
    for balance_id, charged, doubt, *parts in tx.execute(query):
        since = _sums(parts)
        found[int(balance_id)] = (charged - since[0], doubt - since[1])
    return found


def _drawn(first_ms: int, last_ms: int | None) -> sa.Select[Any]:
    sums = [
        part
        for column in (attempts.c.charge_pico, attempts.c.doubt_pico)
        for part in (sa.func.sum(column // _PART), sa.func.sum(column % _PART))
    ]
    labelled = [part.label(f"part_{at}") for at, part in enumerate(sums)]
    drew = within(first_ms, last_ms) & attempts.c.balance_id.is_not(None)
    return sa.select(attempts.c.balance_id, *labelled).where(drew).group_by(attempts.c.balance_id)


def _sums(parts: Sequence[Any]) -> tuple[int, int]:
    charged, charged_rest, doubt, doubt_rest = (int(part or 0) for part in parts)
    return charged * _PART + charged_rest, doubt * _PART + doubt_rest


def within(first_ms: int, last_ms: int | None) -> sa.ColumnElement[bool]:
    """Attempts that began in a span; found by the ids of their requests, which sort by time."""
    began = (attempts.c.request_id >= ulid_at(max(0, first_ms - _LATE_MS))) & (attempts.c.started_ms >= first_ms)
    if last_ms is None:
        return began
    return began & (attempts.c.request_id < ulid_at(last_ms)) & (attempts.c.started_ms < last_ms)


def entries_before(tx: Transaction, balance_id: int, last_ms: int) -> list[tuple[int, str, int]]:
    """Time, kind and amount of a balance's entries from before a moment."""
    columns = (balance_entries.c.at_ms, balance_entries.c.kind, balance_entries.c.amount_pico)
    before = (balance_entries.c.balance_id == balance_id) & (balance_entries.c.at_ms < last_ms)
    return [(row[0], row[1], row[2]) for row in tx.execute(sa.select(*columns).where(before))]
