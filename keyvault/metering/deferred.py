"""Books work that is paid for when it is done: batches, background responses, runs.

Exactly once, whoever sees first that it is done, and whatever dies in between: that an object is settled and what it
cost stand in one transaction, which changes nothing where the object was settled already. The entry is the key's,
under the time at which it was booked; a batch of several models makes one entry for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyvault.clock import Clock
from keyvault.domain.ledger import NO_USAGE, Basis, OpenAttempt, Outcome, Settlement, Usage
from keyvault.domain.objects import DEFERRED, StoredObject
from keyvault.domain.prices import Price, charge, cost
from keyvault.domain.routes import Target
from keyvault.metering.entries import Sums, bounded, settled_row
from keyvault.metering.spending import Spending
from keyvault.storage.engine import Database
from keyvault.storage.ledger import LedgerStore


@dataclass(frozen=True, slots=True)
class Counted:
    """What one model did in work that is done."""

    model: str
    usage: Usage = NO_USAGE
    basis: Basis = Basis.UNKNOWN


@dataclass(frozen=True, slots=True)
class Line:
    """One entry to be booked, with the ledger's numbers for its names."""

    counted: Counted
    target: Target
    alias_id: int
    target_id: int
    price: Price | None


@dataclass(frozen=True, slots=True)
class End:
    """How the work ended."""

    outcome: Outcome
    code: str | None = None
    text: str | None = None


def book(
    database: Database,
    clock: Clock,
    worker: str,
    found: StoredObject,
    lines: Sequence[Line],
    end: End,
    multiplier_ppm: int,
    spending: Spending,
) -> bool:
    """Settle a pending object; False where somebody has. Blocks. Raises `Unavailable`."""
    now_ms, request_id = clock.now_ms(), clock.ulid()
    sums, rows = Sums(), []
    for number, line in enumerate(lines, start=1):
        attempt = _attempt(found, line, request_id, number, now_ms, multiplier_ppm)
        settlement = bounded(_settlement(found, line, attempt, end, final=number == len(lines)))
        rows.append(settled_row(attempt, settlement))
        sums.add(attempt, settlement)
    store = LedgerStore(database)
    try:
        with store.transaction() as tx:
            if not tx.settle_object(found.object_id, found.upstream):
                return False
            tx.add_names(
                [(line.alias_id, line.counted.model) for line in lines],
                [(line.target_id, line.target.upstream, line.target.model) for line in lines],
            )
            tx.settle(rows)
            tx.add_totals(*sums.rows())
            spending.take(tx, sums.taken)
            tx.mark(worker)
    finally:
        store.close()
    return True


def _attempt(
    found: StoredObject, line: Line, request_id: str, number: int, now_ms: int, multiplier_ppm: int
) -> OpenAttempt:
    return OpenAttempt(
        request_id=request_id,
        number=number,
        started_ms=now_ms,
        key_id=found.key_id,
        generation=found.generation,
        alias_id=line.alias_id,
        target_id=line.target_id,
        dialect=DEFERRED,
        stream=False,
        bound_pico=None,
        multiplier_ppm=multiplier_ppm,
    )


def _settlement(found: StoredObject, line: Line, attempt: OpenAttempt, end: End, *, final: bool) -> Settlement:
    cost_pico = _cost(line)
    free = 0 if end.outcome in (Outcome.FAILED, Outcome.LOST) else None
    return Settlement(
        request_id=attempt.request_id,
        number=attempt.number,
        outcome=end.outcome,
        final=final,
        status=None,
        usage=line.counted.usage,
        basis=line.counted.basis,
        total_ms=None,
        price_id=line.price.id if line.price and cost_pico is not None else None,
        cost_pico=cost_pico,
        charge_pico=free if free is not None or cost_pico is None else charge(cost_pico, attempt.multiplier_ppm),
        error_code=end.code,
        error_text=end.text,
        provider_request_id=found.object_id,
    )


def _cost(line: Line) -> int | None:
    usage = line.counted.usage
    if line.counted.basis is Basis.PROVIDER and usage.input == 0 and usage.output == 0:
        return 0
    return cost(line.price.rates, usage) if line.price and line.counted.basis is not Basis.UNKNOWN else None
