"""The guards of running rollouts at work: looks that are due are made, and what they say is done.

For whoever calls it again and again, in any worker: a look is on record once, in the transaction of what follows from
it, so that of several workers one acts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

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

KEPT_MS: Final = 30 * 24 * 3600 * 1000
"""How long it is on record which requests belonged to a rollout that has ended."""
FORGET_EVERY_MS: Final = 60_000
FORGOTTEN_AT_ONCE: Final = 1_000

Live = Callable[[], Collection[Rollout]]


class Watching:
    """Called once a second, in a thread of its own. `live`: the rollouts that the proxy acts by now."""

    def __init__(self, database: Database, clock: Clock, live: Live) -> None:
        self._database = database
        self._clock = clock
        self._live = live
        self._forgotten_ms = 0

    def __call__(self) -> None:
        for rollout in self._live():
            self._look(rollout)
        self._forget()

    def _look(self, rollout: Rollout) -> None:
        now_ms = self._clock.now_ms()
        with self._database.read() as tx:
            began = to_ms(rollout.step_started_at)
            made = rows.looked(tx, rollout.id)
            found = schedule.due(
                rollout, made, now_ms, lambda: ended_in_arm(tx, rollout, began, now_ms, schedule.EARLY_REQUESTS)
            )
            if found is None:
                return
            since = _since(tx, rollout, found, now_ms)
            baseline, arm = arms(tx, rollout, since, now_ms)
        look = look_at(rollout, found, baseline, arm, self._clock)
        with self._database.write() as tx:
            current = rows.numbered(tx, rollout.id)
            if current == rollout and rows.add_look(tx, look):
                self._act(tx, rollout, found, look)

    def _act(self, tx: Transaction, rollout: Rollout, due: Due, look: Look) -> None:
        if look.verdict is Verdict.BREACHED:
            take_out(tx, self._clock, rollout, breach(rollout.plan, look))
        elif due.closing and look.verdict is Verdict.HOLDS and rollout.plan.automatic and not rollout.last_step:
            advance(tx, self._clock, rollout)

    def _forget(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - self._forgotten_ms < FORGET_EVERY_MS:
            return
        forgotten = 0
        with self._database.read() as tx:
            any_old = rows.keeps_requests(tx, now_ms - KEPT_MS)
        if any_old:
            with self._database.write() as tx:
                forgotten = rows.forget_requests(tx, now_ms - KEPT_MS, FORGOTTEN_AT_ONCE)
        if forgotten < FORGOTTEN_AT_ONCE:
            self._forgotten_ms = now_ms


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
