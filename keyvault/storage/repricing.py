"""What it takes to price a span of the ledger anew: its attempts, and which spans were priced anew before."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from keyvault.domain.ledger import Outcome, Usage
from keyvault.domain.objects import DEFERRED
from keyvault.storage.closing import within
from keyvault.storage.engine import Transaction
from keyvault.storage.objects import IN_ORDER
from keyvault.storage.schema import attempts, open_attempts, paid_work, repricings, targets
from keyvault.storage.seals import added

_AT_ONCE: Final = 5_000
_CHARGED: Final = (Outcome.SERVED.value, Outcome.ABORTED.value)
"""What customers pay for; a failed or lost attempt is never theirs."""
_COLUMNS: Final = (
    "request_id",
    "number",
    "key_id",
    "project_id",
    "target_id",
    "started_ms",
    "dialect",
    "outcome",
    "cost_pico",
    "charge_pico",
    "balance_id",
    "price_id",
    "provider_request_id",
)
_COUNTS: Final = tuple(Usage.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Repricing:
    """A span that was priced anew. `model`, `upstream`: only of these, as patterns; None: of all."""

    id: int
    first_ms: int
    last_ms: int
    model: str | None
    upstream: str | None
    price_id: int
    """By the price book as it was when this was its newest version."""
    multipliers: Mapping[int, int]
    """By customer id, in millionths, for attempts that do not tell by themselves."""
    left_out: frozenset[str] = frozenset()
    """Requests that were under way: they are charged by the prices that they began with, and are no part of the run."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work at a provider, which has the price of its kind and of the moment at which it was begun."""

    kind: str
    begun_ms: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """An attempt that is not settled."""

    request_id: str
    key_id: int
    project_id: int
    upstream: str
    model: str


@dataclass(frozen=True, slots=True)
class Priced:
    """An attempt that customers pay for, with what it cost by the ledger."""

    request_id: str
    key_id: int
    project_id: int
    started_ms: int
    upstream: str
    model: str
    usage: Usage
    cost_pico: int | None
    charge_pico: int | None
    balance_id: int | None
    price_id: int | None
    aborted: bool
    deferred: bool
    """Whether it is work that was paid for when it was done."""
    work: Work | None
    """What is known of such work. None for other attempts, and where it was booked before that was kept."""


def attempts_in(tx: Transaction, first_ms: int, last_ms: int) -> Iterator[Priced]:
    """The attempts of a span that customers pay for, some at a time: there may be millions."""
    names = _targets(tx)
    after: tuple[str, int] = ("", 0)
    while page := tx.execute(_page(first_ms, last_ms, after)).all():
        done = _work(tx, {row.provider_request_id or "" for row in page if row.dialect == DEFERRED})
        for row in page:
            upstream, model = _named(names, row.target_id)
            work = done.get((row.provider_request_id or "", upstream)) if row.dialect == DEFERRED else None
            yield _priced(row, upstream, model, work)
        after = page[-1].request_id, page[-1].number


def under_way(tx: Transaction, first_ms: int, last_ms: int) -> list[UnderWay]:
    """The attempts of a span that are not settled."""
    names, began = _targets(tx), open_attempts.c.started_ms
    found = tx.execute(sa.select(open_attempts).where((began >= first_ms) & (began < last_ms)))
    return [UnderWay(row.request_id, row.key_id, row.project_id, *_named(names, row.target_id)) for row in found]


def runs(tx: Transaction) -> list[Repricing]:
    """Newest first."""
    return [_run(row) for row in tx.execute(sa.select(repricings).order_by(repricings.c.id.desc()))]


def insert(tx: Transaction, run: Repricing, created_ms: int) -> int:
    """Its number; the run's own is ignored."""
    values = {
        "first_ms": run.first_ms,
        "last_ms": run.last_ms,
        "model": run.model,
        "upstream": run.upstream,
        "price_id": run.price_id,
        "multipliers": json.dumps({str(id_): ppm for id_, ppm in sorted(run.multipliers.items())}),
        "left_out": json.dumps(sorted(run.left_out)),
        "created_ms": created_ms,
    }
    number = int(tx.execute(sa.insert(repricings).values(values).returning(repricings.c.id)).scalar_one())
    added(tx, "repricings", number)
    return number


def _run(row: Any) -> Repricing:
    multipliers = {int(customer_id): int(ppm) for customer_id, ppm in json.loads(row.multipliers).items()}
    left_out = frozenset(json.loads(row.left_out))
    return Repricing(row.id, row.first_ms, row.last_ms, row.model, row.upstream, row.price_id, multipliers, left_out)


def _targets(tx: Transaction) -> Mapping[int, tuple[str, str]]:
    """Id → upstream and model."""
    return {row.id: (row.upstream, row.model) for row in tx.execute(sa.select(targets))}


def _named(names: Mapping[int, tuple[str, str]], target_id: int) -> tuple[str, str]:
    return names.get(target_id, (f"#{target_id}", f"#{target_id}"))


def _page(first_ms: int, last_ms: int, after: tuple[str, int]) -> sa.Select[Any]:
    """In the order of the table's own key, so that nothing has to be sorted."""
    request_id, number = after
    others = (attempts.c.request_id > request_id) | (attempts.c.number > number)
    behind = (attempts.c.request_id >= request_id) & others
    return (
        sa.select(*(attempts.c[name] for name in (*_COLUMNS, *_COUNTS)))
        .where(within(first_ms, last_ms) & attempts.c.outcome.in_(_CHARGED) & behind)
        .order_by(attempts.c.request_id, attempts.c.number)
        .limit(_AT_ONCE)
    )


def _work(tx: Transaction, ids: Collection[str]) -> Mapping[tuple[str, str], Work]:
    """By object id and upstream."""
    ordered = sorted(ids)
    chunks = [ordered[at : at + IN_ORDER] for at in range(0, len(ordered), IN_ORDER)]
    return {
        (row.object_id, row.upstream): Work(row.kind, row.begun_ms)
        for chunk in chunks
        for row in tx.execute(sa.select(paid_work).where(paid_work.c.object_id.in_(chunk)))
    }


def _priced(row: Any, upstream: str, model: str, work: Work | None) -> Priced:
    return Priced(
        request_id=row.request_id,
        key_id=row.key_id,
        project_id=row.project_id,
        started_ms=row.started_ms,
        upstream=upstream,
        model=model,
        usage=Usage(*row[len(_COLUMNS) :]),
        cost_pico=row.cost_pico,
        charge_pico=row.charge_pico,
        balance_id=row.balance_id,
        price_id=row.price_id,
        aborted=row.outcome == Outcome.ABORTED.value,
        deferred=row.dialect == DEFERRED,
        work=work,
    )
