"""What the guards of a rollout could find at each step, going by the traffic of the last day. Pure.

For each guard: how bad a target would have to be for the looks of the step to take it out in four of five cases or
more, by the usual normal approximation. It reckons with nine of ten: exact tests find a little less, and how things are
now is itself known from a sample. What is plainly worse is found by an earlier look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

from keyvault.domain.arms import Tally, at_rank, quantile
from keyvault.domain.guards import Guard, Kind, Sort
from keyvault.domain.rollouts import WHOLE_PPM, Plan
from keyvault.routing import schedule
from keyvault.routing.guarding import measured
from keyvault.statistics import normal
from keyvault.statistics.two_arms import rank

POWER: Final = 0.9
_HALVINGS: Final = 50


@dataclass(frozen=True, slots=True)
class Recent:
    """The traffic of an alias in the last day."""

    requests: int
    sample: Tally
    """Of the newest of them."""


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one guard could find at one step."""

    guard: Guard
    now: float | None
    """The measure as it is, before the rollout."""
    least: float | None
    """From which value on a target would be taken out; None: no value would be, or nobody can tell."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One step."""

    share_ppm: int
    baseline: float
    arm: float
    """Requests of each, expected in its length."""
    enough_after_s: float | None
    """Until both have the least number of requests; None: never, at this pace."""
    detectable: tuple[Detectable, ...]


def foresee(plan: Plan, recent: Recent) -> tuple[Foreseen, ...]:
    return tuple(_step(plan, step, recent) for step in range(len(plan.steps)))


def _step(plan: Plan, step: int, recent: Recent) -> Foreseen:
    share = plan.steps[step] / WHOLE_PPM
    a_second = recent.requests / 86_400
    arm, baseline = a_second * share * plan.every_s, a_second * (1 - share) * plan.every_s
    slower = a_second * (min(share, 1 - share) or 1.0)
    enough = plan.least / slower if slower else None
    level = schedule.level(plan, plan.looks - 1)
    watched = schedule.watched(plan, step)
    found = (_detectable(guard, recent.sample, arm, baseline, level, watched=watched) for guard in plan.guards)
    return Foreseen(plan.steps[step], baseline, arm, enough, tuple(found))


def _detectable(guard: Guard, sample: Tally, arm: float, baseline: float, level: float, *, watched: bool) -> Detectable:
    now = measured(guard, sample)
    if not watched or now is None or arm < 1 or (guard.compares and baseline < 1):
        return Detectable(guard, now, None)
    return Detectable(guard, now, _LEAST[guard.kind](guard, sample, arm, baseline, level))


def _least_rate(guard: Guard, sample: Tally, arm: float, baseline: float, level: float) -> float | None:
    """From a rate that is a standard error above the one that was seen."""
    left = guard.measure == "left_rate"
    errors, of = (sample.left, sample.requests) if left else (sample.failed, sample.served + sample.failed)
    share = (errors + 0.5) / (of + 1)
    return _least_share(guard, share + sqrt(share * (1 - share) / (of + 1)), arm, baseline, level)


def _least_share(guard: Guard, share: float, arm: float, baseline: float, level: float) -> float | None:
    if guard.sort is Sort.FIXED:
        bound, ratio = guard.bound, 0.0
    elif guard.sort is Sort.MORE:
        bound, ratio = share + guard.bound, 1.0
    else:
        bound, ratio = share * guard.bound, guard.bound
    other = ratio * ratio * share * (1 - share) / baseline if ratio else 0.0

    def seen(found: float) -> bool:
        no_worse, worse = (sqrt(each * (1 - each) / arm + other) for each in (bound, found))
        return found - bound >= -normal.quantile(level) * no_worse + normal.quantile(POWER) * worse

    return _from(seen, bound, 1.0) if bound < 1 else None


def _least_time(guard: Guard, sample: Tally, arm: float, baseline: float, level: float) -> float | None:
    """By how much all times would have to grow, for so many of them to be beyond the bound."""
    times = sample.times(guard)
    count = sum(times.values())
    middle = quantile(times, guard.quantile)
    if middle is None or not middle or (guard.compares and rank(guard.quantile, int(baseline)) is None):
        return None
    limit = {
        Sort.FIXED: guard.bound,
        Sort.MORE: middle + guard.bound,
        Sort.TIMES: middle * guard.bound,
    }[guard.sort]
    tail = 1 - guard.quantile
    sort = Sort.FIXED if guard.sort is Sort.FIXED else Sort.MORE
    same = Guard(guard.measure, sort, tail if sort is Sort.FIXED else 0.0, guard.text)
    slow = _least_share(same, tail, arm, baseline, level)
    if slow is None or slow >= 1:
        return None
    below = at_rank(times, max(1, round((1 - slow) * count)))
    return middle * limit / below if below else None


def _least_cost(guard: Guard, sample: Tally, arm: float, baseline: float, level: float) -> float | None:
    mean = sample.cost_per_request()
    if not mean or sample.costs < 2:
        return None
    relative = max(0.0, sample.cost_squares / sample.costs - mean * mean) / (mean * mean)
    fixed = guard.sort is Sort.FIXED
    bound, ratio = (guard.bound, 0.0) if fixed else (mean * guard.bound, guard.bound)
    sure = -normal.quantile(level) + normal.quantile(POWER)

    def seen(found: float) -> bool:
        error = found * found * relative / arm + (0.0 if fixed else ratio * ratio * mean * mean * relative / baseline)
        return found - bound >= sure * sqrt(error)

    return _from(seen, bound, 1000 * bound)


_LEAST: Final[Mapping[Kind, Callable[[Guard, Tally, float, float, float], float | None]]] = {
    Kind.RATE: _least_rate,
    Kind.TIME: _least_time,
    Kind.COST: _least_cost,
}


def _from(holds: Callable[[float], bool], low: float, high: float) -> float | None:
    """The least value from which on something holds; None where it never does."""
    if not holds(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
