"""Rollouts, their looks, and what came of each arm's requests: rows in, domain values out.

What an arm came to is summed in the database, so that a look costs a scan of the step's requests and few rows.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms, ulid_at
from keyvault.domain.arms import Arm, Tally, added
from keyvault.domain.ledger import Outcome
from keyvault.domain.rollouts import Judgement, Look, Plan, Rollout, State, Verdict, read, written
from keyvault.domain.routes import AS_NAMED, Target
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import (
    aliases,
    attempts,
    rollout_looks,
    rollout_requests,
    rollouts,
    targets,
    totals_quarter,
)
from keyvault.storage.seals import added as row_added
from keyvault.storage.seals import touch

_LIVE: Final = (State.RUNNING.value, State.PAUSED.value)
_STEP: Final = 1_000_000
"""Looks of one step; its number times this is where theirs begin."""
_DOLLAR_PICO: Final = 1e12
_QUARTER_MS: Final = 900_000
LOOKED_AT: Final = 1_000_000
"""Requests of both arms that are looked at, the newest: more tell hardly more, and take seconds."""


def insert(tx: Transaction, alias: str, target: Target, plan: Plan, salt: str, at_ms: int) -> int:
    """A new rollout, at its first step; its id."""
    row = {
        "alias": alias,
        "upstream": target.upstream,
        "model": target.model,
        "state": State.RUNNING.value,
        "plan": json.dumps(written(plan), sort_keys=True),
        "salt": salt,
        "step_started_ms": at_ms,
        "created_ms": at_ms,
    }
    made = tx.execute(sa.insert(rollouts).values(row).returning(rollouts.c.id)).scalar_one()
    row_added(tx, "rollouts", made)
    return int(made)


def live(tx: Transaction, but: Collection[int] = ()) -> list[Rollout]:
    """Those that run or are paused, by alias. `but`: these are not even made sense of."""
    query = sa.select(rollouts).where(rollouts.c.state.in_(_LIVE)).order_by(rollouts.c.alias)
    return [_rollout(row) for row in tx.execute(query) if row.id not in but]


def numbered(tx: Transaction, number: int) -> Rollout | None:
    row = tx.execute(sa.select(rollouts).where(rollouts.c.id == number)).one_or_none()
    return None if row is None else _rollout(row)


def newest(tx: Transaction, limit: int, alias: str | None = None) -> list[Rollout]:
    """The newest first."""
    query = sa.select(rollouts).order_by(rollouts.c.id.desc()).limit(limit)
    return [_rollout(row) for row in tx.execute(query if alias is None else query.where(rollouts.c.alias == alias))]


def aliases_known(tx: Transaction) -> list[str]:
    """The aliases that ever had a rollout."""
    return list(tx.execute(sa.select(rollouts.c.alias).distinct().order_by(rollouts.c.alias)).scalars())


def set_step(tx: Transaction, rollout: Rollout, step: int, at_ms: int) -> None:
    """Begin a step, or begin it anew. The share of each step is in the plan, which is vouched for."""
    changes = {"step": step, "step_started_ms": at_ms}
    tx.execute(sa.update(rollouts).where(rollouts.c.id == rollout.id).values(changes))


def set_state(tx: Transaction, rollout: Rollout, state: State, at_ms: int, reason: str | None = None) -> None:
    touch(tx, "rollouts", rollout.id)
    ended = None if state.value in _LIVE else at_ms
    changes = {"state": state.value, "ended_ms": ended, "reason": reason}
    tx.execute(sa.update(rollouts).where(rollouts.c.id == rollout.id).values(changes))


def add_look(tx: Transaction, look: Look) -> bool:
    """Put a look on record; False where it is already."""
    number = look.step * _STEP + look.index
    one = (rollout_looks.c.rollout_id == look.rollout_id) & (rollout_looks.c.number == number)
    if tx.execute(sa.select(rollout_looks.c.number).where(one)).first() is not None:
        return False
    figures = {"requests": look.requests, "guards": [_told(each) for each in look.judgements]}
    row = {
        "rollout_id": look.rollout_id,
        "number": number,
        "at_ms": to_ms(look.at),
        "verdict": look.verdict.value,
        "figures": json.dumps(figures, sort_keys=True),
    }
    tx.execute(sa.insert(rollout_looks).values(row))
    return True


def looks(tx: Transaction, rollout_id: int, limit: int | None = None) -> list[Look]:
    """The newest first."""
    of = rollout_looks.c.rollout_id == rollout_id
    query = sa.select(rollout_looks).where(of).order_by(rollout_looks.c.number.desc()).limit(limit)
    return [_look(row) for row in tx.execute(query)]


def looked(tx: Transaction, rollout_id: int) -> list[tuple[int, int]]:
    """Step and index of each look so far."""
    query = sa.select(rollout_looks.c.number).where(rollout_looks.c.rollout_id == rollout_id)
    return [divmod(number, _STEP) for number in tx.execute(query).scalars()]


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


def forget_requests(tx: Transaction, ended_before_ms: int, at_most: int) -> int:
    """Delete which requests belonged to rollouts that ended before a moment, some at a time; how many."""
    old = sa.select(rollouts.c.id).where(rollouts.c.ended_ms < ended_before_ms)
    some = sa.select(rollout_requests.c.rollout_id, rollout_requests.c.request_id)
    some = some.where(rollout_requests.c.rollout_id.in_(old)).limit(at_most)
    both = sa.tuple_(rollout_requests.c.rollout_id, rollout_requests.c.request_id)
    return tx.execute(sa.delete(rollout_requests).where(both.in_(some))).rowcount


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


def _rollout(row: sa.Row[Any]) -> Rollout:
    return Rollout(
        id=row.id,
        alias=row.alias,
        target=Target(row.upstream, row.model),
        state=State(row.state),
        plan=read(json.loads(row.plan)),
        salt=row.salt,
        step=row.step,
        step_started_at=from_ms(row.step_started_ms),
        created_at=from_ms(row.created_ms),
        ended_at=None if row.ended_ms is None else from_ms(row.ended_ms),
        reason=row.reason,
    )


def _look(row: sa.Row[Any]) -> Look:
    step, index = divmod(row.number, _STEP)
    figures = json.loads(row.figures)
    baseline, arm = figures["requests"]
    judged = tuple(Judgement(**{**each, "verdict": Verdict(each["verdict"])}) for each in figures["guards"])
    return Look(row.rollout_id, step, index, from_ms(row.at_ms), Verdict(row.verdict), (baseline, arm), judged)


def _told(judgement: Judgement) -> dict[str, Any]:
    return {name: getattr(judgement, name) for name in Judgement.__slots__}
