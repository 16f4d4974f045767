"""Attempts and settlements for tests of the ledger, and the rule all of them check: totals say what the rows say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa

from keyvault.clock import ulid_at
from keyvault.domain.ledger import Basis, OpenAttempt, Outcome, Settlement, Usage
from keyvault.metering.ledger import Ledger
from keyvault.storage.engine import Database
from keyvault.storage.schema import SUMS, attempts, open_attempts, totals_day, totals_minute, totals_quarter

TOKENS = Usage(input=1000, cached_input=400, cache_write=100, output=50, reasoning=20)


def attempt(ms: int, number: int = 1, *, entropy: int = 0, **fields: Any) -> OpenAttempt:
    """An attempt that began at `ms`; attempts of one request share `entropy`."""
    told = {"key_id": 1, "generation": 1, "alias_id": 2, "target_id": 3, "dialect": "chat", "stream": False}
    return OpenAttempt(ulid_at(ms, entropy), number, ms, **{**told, "bound_pico": 9_000, **fields})


def settlement(of: OpenAttempt, **fields: Any) -> Settlement:
    """`of` served and final, unless told otherwise."""
    told: dict[str, Any] = {"outcome": Outcome.SERVED, "final": True, "status": 200, "usage": TOKENS}
    told |= {"basis": Basis.PROVIDER, "total_ms": 120, "first_content_ms": 40, "cost_pico": 7_000, "charge_pico": 8_000}
    return Settlement(of.request_id, of.number, **{**told, **fields})


async def book(ledger: Ledger, of: OpenAttempt, **fields: Any) -> None:
    """Open an attempt and settle it, both durable."""
    await ledger.open(of)
    await ledger.settle(settlement(of, **fields))


def rows(database: Database) -> list[Any]:
    with database.read() as tx:
        return list(tx.execute(sa.select(attempts).order_by(attempts.c.request_id, attempts.c.number)))


def open_rows(database: Database) -> list[tuple[str, int]]:
    with database.read() as tx:
        return [tuple(row) for row in tx.execute(sa.select(open_attempts.c.request_id, open_attempts.c.number))]


def totals(database: Database, table: sa.Table) -> dict[tuple[int, ...], Counter[str]]:
    """(bucket, key, alias, target, project) → its sums that are not zero."""
    with database.read() as tx:
        found = tx.execute(sa.select(table)).mappings()
        return {
            (r["bucket"], r["key_id"], r["alias_id"], r["target_id"], r["project_id"]): Counter(
                {n: r[n] for n in SUMS if r[n]}
            )
            for r in found
        }


def assert_totals_say_what_the_rows_say(database: Database) -> None:
    settled = rows(database)
    for table, minutes in ((totals_minute, 1), (totals_quarter, 15), (totals_day, 1440)):
        expected: dict[tuple[int, ...], Counter[str]] = {}
        for row in settled:
            minute = row.started_ms // 60_000
            bucket = (minute // minutes, row.key_id, row.alias_id, row.target_id, row.project_id)
            expected[bucket] = expected.get(bucket, Counter()) + _sums(row)
        assert totals(database, table) == expected


def _sums(row: Any) -> Counter[str]:
    """What one row adds, written independently of the code under test."""
    bad = row.outcome in (Outcome.FAILED, Outcome.LOST)
    sums = Counter(
        requests=row.final,
        attempts=1,
        errors=int(bad and row.final),
        failures=int(bad),
        input=row.input or 0,
        cached_input=row.cached_input or 0,
        cache_write=(row.cache_write or 0) + (row.cache_write_1h or 0),
        output=row.output or 0,
        reasoning=row.reasoning or 0,
        cost_pico=row.cost_pico or 0,
        charge_pico=row.charge_pico or 0,
        doubt_pico=row.doubt_pico or 0,
        unknown_cost=int(row.cost_pico is None),
    )
    free = (row.cost_pico, row.input, row.output) == (0, 0, 0)
    sums["free" if free else f"basis_{Basis(row.basis).label}"] += 1
    if row.first_content_ms is not None:
        sums[f"first_{_bucket(row.first_content_ms)}"] += 1
    if row.outcome == Outcome.SERVED and row.total_ms is not None:
        sums[f"total_{_bucket(row.total_ms)}"] += 1
    return Counter({name: value for name, value in sums.items() if value})


def _bucket(ms: int) -> int:
    bounds = (25, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200, 6400, 12800, 51200)
    return sum(ms >= bound for bound in bounds)
