"""Single requests as a console looks for them: the newest first, only of some keys, targets or payers, just ended.

The ledger has one index, the ids of requests, which sort by time. So every question names a stretch of ids; where in
time there are any of a key, target or payer, the totals tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from keyvault.domain.ledger import Outcome
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import Level
from keyvault.storage.schema import attempts, keys, open_attempts, totals_day, totals_minute, totals_quarter

_TOTALS: Final = {Level.MINUTE: totals_minute, Level.QUARTER: totals_quarter, Level.DAY: totals_day}
_ERRORS: Final = (Outcome.FAILED, Outcome.LOST)


@dataclass(frozen=True, slots=True)
class Only:
    """Which requests are looked for, by the ids that decide it. None: any."""

    keys: frozenset[int] | None = None
    payers: frozenset[int] | None = None
    """Projects that pay: the request's own or, where it has none, its key's."""
    targets: frozenset[int] | None = None
    failed: bool = False

    @property
    def any(self) -> bool:
        """Whether every request will do."""
        return self == Only()


def newest(
    tx: Transaction, only: Only, *, after: str | None = None, before: str | None = None, limit: int
) -> list[str]:
    """Ids of requests that have ended, the newest first, of those between two ids."""
    found = sa.select(attempts.c.request_id).where(attempts.c.final == 1, *_attempts_of(only))
    if after is not None:
        found = found.where(attempts.c.request_id > after)
    if before is not None:
        found = found.where(attempts.c.request_id < before)
    return list(tx.execute(found.order_by(attempts.c.request_id.desc()).limit(limit)).scalars())


def ended(tx: Transaction, only: Only, *, after: str, since_ms: int, limit: int) -> list[str]:
    """Ids behind one of requests that ended since a moment: the last ones to end, the newest first."""
    end = attempts.c.started_ms + sa.func.coalesce(attempts.c.total_ms, 0)
    found = sa.select(attempts.c.request_id).where(
        attempts.c.request_id > after, attempts.c.final == 1, end >= since_ms, *_attempts_of(only)
    )
    return list(tx.execute(found.order_by(end.desc()).limit(limit)).scalars())


def among(tx: Transaction, only: Only, request_ids: Sequence[str]) -> list[str]:
    """Those of these requests that have ended and are looked for."""
    found = sa.select(attempts.c.request_id).where(
        attempts.c.request_id.in_(request_ids), attempts.c.final == 1, *_attempts_of(only)
    )
    return list(tx.execute(found).scalars())


def still_open(tx: Transaction, up_to: str) -> list[str]:
    """Requests up to an id that are not at their end."""
    of = open_attempts.c.request_id <= up_to
    return list(tx.execute(sa.select(open_attempts.c.request_id).where(of).distinct()).scalars())


def counts(tx: Transaction, only: Only, level: Level, buckets: Sequence[int]) -> dict[int, int]:
    """How many such requests began in each of these buckets, the newest first, those without any left out.

    Each bucket is named, so that the primary key, which begins with the bucket, finds a key's totals at once.
    """
    table = _TOTALS[level]
    many = sa.func.sum(table.c.errors if only.failed else table.c.requests)
    found = sa.select(table.c.bucket, many).where(table.c.bucket.in_(buckets), *_of(table, only))
    rows = tx.execute(found.group_by(table.c.bucket).having(many > 0).order_by(table.c.bucket.desc()))
    return {bucket: int(count) for bucket, count in rows}


def first_day(tx: Transaction) -> int | None:
    """The first day with traffic; None in an empty ledger."""
    return tx.execute(sa.select(sa.func.min(totals_day.c.bucket))).scalar_one()  # type: ignore[no-any-return]


def _attempts_of(only: Only) -> list[Any]:
    failed = [attempts.c.outcome.in_(_ERRORS)] if only.failed else []
    return [*_of(attempts, only), *failed]


def _of(table: sa.Table, only: Only) -> list[Any]:
    """What a row of attempts or totals has to be."""
    conditions: list[Any] = []
    if only.keys is not None:
        conditions.append(table.c.key_id.in_(sorted(only.keys)))
    if only.targets is not None:
        conditions.append(table.c.target_id.in_(sorted(only.targets)))
    if only.payers is not None:
        payers = sorted(only.payers)
        own = sa.select(keys.c.id).where(keys.c.project_id.in_(payers))
        by_key = sa.and_(table.c.project_id == 0, table.c.key_id.in_(own))
        conditions.append(sa.or_(table.c.project_id.in_([payer for payer in payers if payer]), by_key))
    return conditions
