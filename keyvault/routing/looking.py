"""One look at a rollout: made when it is due, and what its guards say is done.

A look is on record once, in the transaction of what follows from it, so that of several workers one acts.
"""

from __future__ import annotations

from collections.abc import Sequence

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.arms import Arm
from keyvault.domain.rollouts import WHOLE_PPM, Judgement, Look, Plan, Rollout, Verdict
from keyvault.routing import schedule
from keyvault.routing.ending import scope, take_out
from keyvault.routing.guarding import judge
from keyvault.routing.schedule import Due
from keyvault.routing.telling import breach
from keyvault.storage import epochs
from keyvault.storage import rollouts as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.rollout_arms import arms, ended_in_arm


def look(database: Database, clock: Clock, rollout: Rollout) -> None:
    """Make the look that is due, if one is, and do what it says."""
    now_ms = clock.now_ms()
    with database.read() as tx:
        began = to_ms(rollout.step_started_at)
        made = rows.looked(tx, rollout.id)
        found = schedule.due(
            rollout,
            made,
            now_ms,
            lambda: ended_in_arm(tx, rollout, began, now_ms, schedule.EARLY_REQUESTS),
            before=rows.looked_before(tx, rollout),
        )
        if found is None:
            return
        since = _since(tx, rollout, found, now_ms)
        baseline, arm = arms(tx, rollout, since, now_ms)
    made_now = look_at(rollout, found, baseline, arm, clock)
    with database.write() as tx:
        current = rows.numbered(tx, rollout.id)
        if current == rollout and rows.add_look(tx, made_now):
            _act(tx, clock, rollout, found, made_now)


def _act(tx: Transaction, clock: Clock, rollout: Rollout, due: Due, look: Look) -> None:
    if look.verdict is Verdict.BREACHED:
        take_out(tx, clock, rollout, breach(rollout.plan, look))
    elif due.closing and look.verdict is Verdict.HOLDS and rollout.plan.automatic and not rollout.last_step:
        advance(tx, clock, rollout)


def look_at(rollout: Rollout, due: Due, baseline: Arm, arm: Arm, clock: Clock) -> Look:
    """What the guards say of two arms, at a look."""
    judged = judgements(rollout.plan, rollout.share_ppm, due.level, baseline, arm)
    requests = (baseline.tally.requests, arm.tally.requests)
    return Look(rollout.id, rollout.step, due.index, clock.now(), verdict(judged), requests, judged)


def judgements(plan: Plan, share_ppm: int, level: float, baseline: Arm, arm: Arm) -> tuple[Judgement, ...]:
    alone = share_ppm == WHOLE_PPM
    return tuple(judge(guard, baseline, arm, level=level, least=plan.least, alone=alone) for guard in plan.guards)


def verdict(judged: Sequence[Judgement]) -> Verdict:
    """Of all guards together: the gravest."""
    found = {each.verdict for each in judged}
    return next(each for each in (Verdict.BREACHED, Verdict.TOO_LITTLE, Verdict.HOLDS, Verdict.NOTHING_TO_COMPARE)
                if each in found)  # fmt: skip


def advance(tx: Transaction, clock: Clock, rollout: Rollout) -> None:
    """Begin the next step. Its share is in the plan, which is vouched for."""
    share = rollout.plan.steps[rollout.step + 1]
    rows.set_step(tx, rollout, rollout.step + 1, clock.now_ms())
    told = {"rollout": rollout.id, "target": str(rollout.target), "percent": share / 10_000}
    audit.record(tx, clock, "rollouts.advance", scope(rollout.alias), **told)
    epochs.bump(tx, "routes")


def _since(tx: Transaction, rollout: Rollout, due: Due, now_ms: int) -> int:
    """After a step's length the last such time is looked at, or all of the step where that has too few requests."""
    began, least = to_ms(rollout.step_started_at), rollout.plan.least
    if due.since_ms > began and ended_in_arm(tx, rollout, due.since_ms, now_ms, least) < least:
        return began
    return due.since_ms
