"""When the guards of a rollout look, and how sure they must be each time.

A step has a fixed number of looks: one as soon as a few requests of the target have ended, the others at times that
double up to the length of the step, so that what is wrong is seen within twice the time that it takes to show. A step
that goes on for longer is looked at once for each further length. The rate of false alarms is shared between steps,
looks and guards, so that all of them together alarm no more often than was said, however long the rollout lasts.

A step that begins anew is looked at anew. What its earlier looks had of the rate is spent: the new ones share what is
kept for looks after a step's length.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from keyvault.clock import to_ms
from keyvault.domain.rollouts import WHOLE_PPM, Plan, Rollout, State
from keyvault.statistics.looks import doubling, increments, overtime

EARLY_REQUESTS: Final = 10
"""Requests of the target that have ended, for the early look."""
_OVERTIME: Final = 0.2
"""The part of the rate that is kept for looks after a step's length."""
_EARLY: Final = 0.05
"""The part of a step's rate for its early look."""

Made = Collection[tuple[int, int]]
"""Step and index of the looks so far."""


@dataclass(frozen=True, slots=True)
class Due:
    """A look that is due."""

    index: int
    level: float
    """For each guard."""
    since_ms: int
    """It looks at the requests that came from then on."""
    closing: bool
    """It is at the end of the step, or after: the next one may follow."""


def due(
    rollout: Rollout, made: Made, now_ms: int, ended: Callable[[], int], *, before: int | None = None
) -> Due | None:
    """The newest look that is due and not made; what was missed before it is not made up for. `ended`: how many
    requests of the target have ended at this step. `before`: the last look of the step before it began anew."""
    plan, began = rollout.plan, to_ms(rollout.step_started_at)
    if rollout.state is not State.RUNNING or not watched(plan, rollout.step):
        return None
    index = _index(plan, now_ms - began)
    number = index + _first(plan, before)
    if any(step == rollout.step and at >= number for step, at in made) or (not index and ended() < EARLY_REQUESTS):
        return None
    length = plan.every_s * 1000
    since = began if index < plan.looks else now_ms - length
    return Due(number, level(plan, number, made), since, index >= plan.looks - 1)


def next_ms(rollout: Rollout, made: Made, now_ms: int, *, before: int | None = None) -> int | None:
    """When the next look is, at the latest; None where nothing is looked at."""
    plan, began = rollout.plan, to_ms(rollout.step_started_at)
    if rollout.state is not State.RUNNING or not watched(plan, rollout.step):
        return None
    first = _first(plan, before)
    done = [at - first for step, at in made if step == rollout.step]
    following = max(_index(plan, now_ms - began), max(done, default=0)) + 1
    return began + after_ms(plan, following)


def watched(plan: Plan, step: int) -> bool:
    """Whether guards can look at a step: at 100 % only those that compare with nothing."""
    return plan.steps[step] < WHOLE_PPM or any(not guard.compares for guard in plan.guards)


def level(plan: Plan, index: int, made: Made = ()) -> float:
    """How small a p-value must be at a look, for one guard."""
    each = plan.alpha / len(plan.guards)
    if index >= plan.looks:
        return each * _OVERTIME * overtime(1 + sum(at >= plan.looks for _, at in made))
    steps = sum(watched(plan, step) for step in range(len(plan.steps)))
    parts = (_EARLY, *((1 - _EARLY) * part for part in increments(doubling(plan.looks - 1))))
    return each * (1 - _OVERTIME) / steps * parts[index]


def _first(plan: Plan, before: int | None) -> int:
    """The index of a step's first look."""
    return 0 if before is None else max(before + 1, plan.looks)


def _index(plan: Plan, elapsed_ms: int) -> int:
    """The newest look whose time has come."""
    length = plan.every_s * 1000
    if elapsed_ms >= 2 * length:
        return plan.looks - 2 + elapsed_ms // length
    return sum(elapsed_ms >= after_ms(plan, index) for index in range(1, plan.looks))


def after_ms(plan: Plan, index: int) -> int:
    """How long after the step began a look is made, in milliseconds."""
    length = plan.every_s * 1000
    if index >= plan.looks:
        return length * (index - plan.looks + 2)
    return int(length * doubling(plan.looks - 1)[index - 1])
