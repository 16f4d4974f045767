"""What came of the requests of a rollout's arms, and of an alias's recent ones, as the ledger has it.

It is summed in the database, so that a look costs a scan of the step's requests and few rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keyvault.clock import ulid_at
from keyvault.domain.arms import Arm, Tally, added
from keyvault.domain.ledger import Outcome
from keyvault.domain.rollouts import Rollout
from keyvault.domain.routes import AS_NAMED
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import aliases, attempts, rollout_requests, targets, totals_quarter

_DOLLAR_PICO: Final = 1e12
_QUARTER_MS: Final = 900_000
LOOKED_AT: Final = 1_000_000
"""Requests of both arms that are looked at, the newest: more tell hardly more, and take seconds."""

Within = tuple[sa.ColumnElement[bool], ...]
"""Which of a rollout's requests."""


@dataclass(slots=True)
class _Sum:
    """One unit's tally while it is added up."""

    counts: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    total_ms: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    first_ms: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    costs: int = 0
    cost: float = 0.0
    squares: float = 0.0

    def tally(self) -> Tally:
        served, failed = self.counts[Outcome.SERVED], self.counts[Outcome.FAILED]
        left = self.counts[Outcome.ABORTED]
        return Tally(served, failed, left, self.total_ms, self.first_ms, self.costs, self.cost, self.squares)


def arms(tx: Transaction, rollout: Rollout, since_ms: int, until_ms: int) -> tuple[Arm, Arm]:
    """What came of the requests of the baseline and of the target that arrived in a time and have ended."""
    sums: dict[tuple[int, int | None], _Sum] = defaultdict(_Sum)
    elsewhere = 0
    within = _newest(tx, _within(rollout, since_ms, until_ms))
    for row in tx.execute(_times(rollout, attempts.c.total_ms, within)):
        if row.arm and not row.there:
            elsewhere += row.found
            continue
        of = sums[row.arm, row.unit]
        of.counts[row.outcome] += row.found
        if row.ms is not None and row.outcome != Outcome.FAILED:
            of.total_ms[row.ms] += row.found
        of.costs += row.costs
        of.cost += (row.cost or 0.0) / _DOLLAR_PICO
        of.squares += (row.squares or 0.0) / _DOLLAR_PICO**2
    for row in tx.execute(_times(rollout, attempts.c.first_content_ms, within)):
        if row.ms is not None and (row.there or not row.arm):
            sums[row.arm, row.unit].first_ms[row.ms] += row.found
    return _arm(sums, 0), _arm(sums, 1, elsewhere)


def _arm(sums: Mapping[tuple[int, int | None], _Sum], arm: int, elsewhere: int = 0) -> Arm:
    units = {unit: found.tally() for (of, unit), found in sums.items() if of == arm}
    whole = added(units.values())
    return Arm(whole, tuple(tally for unit, tally in units.items() if unit is not None), elsewhere)


def _times(rollout: Rollout, ms: sa.Column[Any], within: Within) -> sa.Select[Any]:
    """First attempts by arm, unit, whether at the target, outcome and a time; lost ones are nobody's fault."""
    there = targets.c.upstream == rollout.target.upstream
    if rollout.target.model != AS_NAMED:
        there &= targets.c.model == rollout.target.model
    known = sa.and_(attempts.c.outcome == int(Outcome.SERVED), attempts.c.cost_pico.is_not(None))
    cost = sa.case((known, sa.cast(attempts.c.cost_pico, sa.Float)), else_=None)
    groups: list[Any] = [rollout_requests.c.arm, rollout_requests.c.unit, sa.case((there, 1), else_=0).label("there")]
    groups += [attempts.c.outcome, ms.label("ms")]
    return (
        sa.select(
            *groups,
            sa.func.count().label("found"),
            sa.func.count(cost).label("costs"),
            sa.func.sum(cost).label("cost"),
            sa.func.sum(cost * cost).label("squares"),
        )
        .select_from(_of_arms().join(targets, targets.c.id == attempts.c.target_id))
        .where(*within, attempts.c.outcome != int(Outcome.LOST))
        .group_by(*groups)
    )


def _of_arms() -> sa.Join:
    first = (attempts.c.request_id == rollout_requests.c.request_id) & (attempts.c.number == 1)
    return rollout_requests.join(attempts, first)


def _newest(tx: Transaction, within: Within) -> Within:
    """The newest of these requests, where they are very many."""
    of = sa.select(rollout_requests.c.request_id).where(*within)
    first = tx.execute(of.order_by(rollout_requests.c.request_id.desc()).offset(LOOKED_AT).limit(1)).scalar()
    return within if first is None else (*within, rollout_requests.c.request_id > first)


def _within(rollout: Rollout, since_ms: int, until_ms: int) -> Within:
    """Requests of a time: their ids sort by it."""
    of = rollout_requests.c
    return (of.rollout_id == rollout.id, of.request_id >= ulid_at(since_ms), of.request_id < ulid_at(until_ms))


def ended_in_arm(tx: Transaction, rollout: Rollout, since_ms: int, until_ms: int, most: int) -> int:
    """How many of the target's requests have ended, counted up to so many."""
    ended = sa.select(attempts.c.request_id).select_from(_of_arms())
    ended = ended.where(*_within(rollout, since_ms, until_ms), rollout_requests.c.arm == 1).limit(most)
    return int(tx.execute(sa.select(sa.func.count()).select_from(ended.subquery())).scalar_one())


class Sampled(NamedTuple):
    """One first attempt."""

    outcome: int
    total_ms: int | None
    first_content_ms: int | None
    cost_pico: int | None


def sample(tx: Transaction, names: Iterable[str], since_ms: int, most: int) -> list[Sampled]:
    """The newest first attempts that were sent for these names since a moment."""
    ids = sa.select(aliases.c.id).where(aliases.c.name.in_(sorted(names)))
    columns = (attempts.c.outcome, attempts.c.total_ms, attempts.c.first_content_ms, attempts.c.cost_pico)
    query = sa.select(*columns).where(attempts.c.request_id >= ulid_at(since_ms), attempts.c.number == 1)
    query = query.where(attempts.c.alias_id.in_(ids), attempts.c.outcome != int(Outcome.LOST))
    return [Sampled(*row) for row in tx.execute(query.order_by(attempts.c.request_id.desc()).limit(most))]


def asked(tx: Transaction, names: Iterable[str], since_ms: int) -> int:
    """How many requests named these since a moment, to the quarter of an hour."""
    ids = sa.select(aliases.c.id).where(aliases.c.name.in_(sorted(names)))
    since = (totals_quarter.c.bucket > since_ms // _QUARTER_MS) & totals_quarter.c.alias_id.in_(ids)
    return int(
        tx.execute(sa.select(sa.func.coalesce(sa.func.sum(totals_quarter.c.requests), 0)).where(since)).scalar_one()
    )


def alias_names(tx: Transaction) -> list[str]:
    """What clients have asked for."""
    return list(tx.execute(sa.select(aliases.c.name)).scalars())
