"""Settled attempts read in bulk: page after page in the order of their ids, and added up by how they are known."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keyvault.storage.engine import Transaction
from keyvault.storage.schema import attempts

_PART: Final = 10**9
"""Money is summed in two parts: SQLite's `sum` gives up where a sum leaves 64 bits."""


def attempts_after(tx: Transaction, request_id: str, number: int, limit: int) -> list[Any]:
    """Settled attempts behind one, as rows of the table, in order."""
    behind = sa.tuple_(attempts.c.request_id, attempts.c.number) > sa.tuple_(
        sa.literal(request_id, sa.Text), sa.literal(number, sa.SmallInteger)
    )
    page = sa.select(attempts).where(behind).order_by(attempts.c.request_id, attempts.c.number).limit(limit)
    return list(tx.execute(page))


class Kind(NamedTuple):
    """Attempts of one target that are known alike, added up."""

    target_id: int
    basis: int
    unpriced: bool
    attempts: int
    input: int
    output: int
    cost_pico: int
    bound_pico: int
    unbounded: int
    """Attempts without a bound."""


def kinds_of(tx: Transaction, target_ids: Collection[int], ids: tuple[str, str], ms: tuple[int, int]) -> list[Kind]:
    """Attempts that began within `ms`, by target, basis and whether their cost is known; `ids`: between which request
    ids they are looked for."""
    unpriced = attempts.c.cost_pico.is_(None)
    part = sa.literal_column(str(_PART), sa.BigInteger)

    def parts(column: Any) -> list[Any]:
        return [sa.func.coalesce(sa.func.sum(column // part), 0), sa.func.coalesce(sa.func.sum(column % part), 0)]

    found = tx.execute(
        sa.select(
            attempts.c.target_id,
            attempts.c.basis,
            sa.case((unpriced, 1), else_=0).label("unpriced"),
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(attempts.c.input), 0),
            sa.func.coalesce(sa.func.sum(attempts.c.output), 0),
            *parts(attempts.c.cost_pico),
            *parts(attempts.c.bound_pico),
            sa.func.sum(sa.case((attempts.c.bound_pico.is_(None), 1), else_=0)),
        )
        .where(*_began(target_ids, ids, ms))
        .group_by(attempts.c.target_id, attempts.c.basis, "unpriced")
    )
    return [
        Kind(r[0], r[1], bool(r[2]), r[3], int(r[4]), int(r[5]), _whole(r[6], r[7]), _whole(r[8], r[9]), int(r[10]))
        for r in found
    ]


def prices_of(
    tx: Transaction, target_ids: Collection[int], ids: tuple[str, str], ms: tuple[int, int]
) -> list[tuple[int, int]]:
    """Target and price of the same attempts, each pair once."""
    pair = sa.select(attempts.c.target_id, attempts.c.price_id).distinct()
    found = tx.execute(pair.where(*_began(target_ids, ids, ms), attempts.c.price_id.is_not(None)))
    return [(row.target_id, row.price_id) for row in found]


def _began(target_ids: Collection[int], ids: tuple[str, str], ms: tuple[int, int]) -> list[sa.ColumnElement[bool]]:
    return [
        attempts.c.request_id >= ids[0],
        attempts.c.request_id <= ids[1],
        attempts.c.started_ms >= ms[0],
        attempts.c.started_ms < ms[1],
        attempts.c.target_id.in_(sorted(target_ids)),
    ]


def _whole(high: Any, low: Any) -> int:
    return int(high) * _PART + int(low)
