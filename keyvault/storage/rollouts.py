"""Rollouts, their looks, and which requests belong to which: rows in, domain values out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from typing import Any, Final

import sqlalchemy as sa

from keyvault.clock import from_ms, to_ms
from keyvault.domain.rollouts import Judgement, Look, Plan, Rollout, State, Verdict, read, written
from keyvault.domain.routes import Target
from keyvault.errors import Tampered, UsageError
from keyvault.storage.engine import Transaction
from keyvault.storage.schema import (
    rollout_looks,
    rollout_requests,
    rollouts,
)
from keyvault.storage.seals import added as row_added
from keyvault.storage.seals import touch
from keyvault.storage.unvouched import LAST_MS, whole

_LIVE: Final = (State.RUNNING.value, State.PAUSED.value)
_STEP: Final = 1_000_000
"""Looks of one step; its number times this is where theirs begin."""


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


def looked_before(tx: Transaction, rollout: Rollout) -> int | None:
    """The index of the last look of the present step before it began anew; None where it did not."""
    number, first = rollout_looks.c.number, rollout.step * _STEP
    earlier = rollout_looks.c.at_ms < to_ms(rollout.step_started_at)
    of = (rollout_looks.c.rollout_id == rollout.id) & number.between(first, first + _STEP - 1) & earlier
    found = tx.execute(sa.select(sa.func.max(number)).where(of)).scalar_one()
    return None if found is None else int(found) - first


def arm_of(tx: Transaction, request_id: str) -> tuple[int, int] | None:
    """The rollout and the arm that a request was drawn for; only of those that are kept."""
    query = sa.select(rollout_requests.c.rollout_id, rollout_requests.c.arm)
    of = (rollout_requests.c.request_id == request_id) & rollout_requests.c.rollout_id.in_(sa.select(rollouts.c.id))
    row = tx.execute(query.where(of)).first()
    return None if row is None else (row[0], row[1])


def keeps_requests(tx: Transaction, ended_before_ms: int) -> bool:
    """Whether it is still on record which requests belonged to a rollout that ended before a moment."""
    return tx.execute(_old_requests(ended_before_ms).limit(1)).first() is not None


def forget_requests(tx: Transaction, ended_before_ms: int, at_most: int) -> int:
    """Delete that, some at a time; how many."""
    both = sa.tuple_(rollout_requests.c.rollout_id, rollout_requests.c.request_id)
    old = _old_requests(ended_before_ms).limit(at_most)
    return tx.execute(sa.delete(rollout_requests).where(both.in_(old))).rowcount


def _old_requests(ended_before_ms: int) -> sa.Select[Any]:
    old = sa.select(rollouts.c.id).where(rollouts.c.ended_ms < ended_before_ms)
    found = sa.select(rollout_requests.c.rollout_id, rollout_requests.c.request_id)
    return found.where(rollout_requests.c.rollout_id.in_(old))


@contextlib.contextmanager
def _making_sense(what: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OverflowError, UsageError):
        raise Tampered(f"{what} was changed by something else than gwctl", hint="gwctl doctor") from None


def _rollout(row: sa.Row[Any]) -> Rollout:
    with _making_sense(f"rollout {row.id}"):
        plan = read(json.loads(row.plan))
        return Rollout(
            id=row.id,
            alias=row.alias,
            target=Target(row.upstream, row.model),
            state=State(row.state),
            plan=plan,
            salt=row.salt,
            step=whole(row.step, 0, len(plan.steps) - 1),
            step_started_at=from_ms(whole(row.step_started_ms, row.created_ms, LAST_MS)),
            created_at=from_ms(row.created_ms),
            ended_at=None if row.ended_ms is None else from_ms(whole(row.ended_ms, row.created_ms, LAST_MS)),
            reason=None if row.reason is None else str(row.reason),
        )


def _look(row: sa.Row[Any]) -> Look:
    with _making_sense(f"a look at rollout {row.rollout_id}"):
        return _seen(row)


def _seen(row: sa.Row[Any]) -> Look:
    step, index = divmod(row.number, _STEP)
    figures = json.loads(row.figures)
    baseline, arm = figures["requests"]
    judged = tuple(Judgement(**{**each, "verdict": Verdict(each["verdict"])}) for each in figures["guards"])
    return Look(row.rollout_id, step, index, from_ms(row.at_ms), Verdict(row.verdict), (baseline, arm), judged)


def _told(judgement: Judgement) -> dict[str, Any]:
    return {name: getattr(judgement, name) for name in Judgement.__slots__}
