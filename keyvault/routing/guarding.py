"""Whether a guard holds: what came of the two arms, judged against a bound at a level. Pure.

The evidence must be against the target: it is taken for keeping the bound until so much speaks against it as hardly
ever would by chance. What is plain enough, such as ten failures out of ten, needs no least number of requests; that
nothing was found does.

Where whole units are drawn (the requests of a key or a customer), their requests are alike, and count for less: by
Kish's design effect, with the likeness of the baseline's units. Where those are too few to tell it, each unit counts as
one request; where the target has few, they are taken for rather alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keyvault.domain.arms import Arm, Tally, at_rank, quantile
from keyvault.domain.guards import Guard, Kind, Sort
from keyvault.domain.rollouts import Judgement, Verdict
from keyvault.statistics.tails import at_least
from keyvault.statistics.two_arms import (
    Mean,
    Share,
    correlation,
    design_effect,
    mean_beyond,
    quantile_beyond,
    rank,
    share_beyond,
)

LEAST_COSTS: Final = 10
"""Known costs of each arm, before their means are compared."""
_UNITS: Final = 20
"""Of the baseline, from which on the likeness within units is worked out."""
_FEW: Final = 5
"""Units of the target below which their requests are taken for at least so much alike:"""
_LIKENESS_OF_FEW: Final = 0.2
_LEAST_LIKENESS: Final = 0.02

Parts = Callable[[Tally], tuple[int, float, float]]
"""Of a tally: how many values, their sum, the sum of their squares."""


def judge(guard: Guard, baseline: Arm, arm: Arm, *, level: float, least: int, alone: bool = False) -> Judgement:
    """`alone`: no request goes to the baseline any more."""
    values = [measured(guard, each.tally) for each in (arm, baseline)]
    limit = _limit(guard, values[1])
    if alone and guard.compares:
        return Judgement(guard.text, Verdict.NOTHING_TO_COMPARE, values[0], None, None, None, level)
    p = _TESTS[guard.kind](guard, baseline, arm, level)
    if p is not None and p <= level:
        verdict = Verdict.BREACHED
    elif p is None or arm.tally.requests < least or (guard.compares and baseline.tally.requests < least):
        verdict = Verdict.TOO_LITTLE
    else:
        verdict = Verdict.HOLDS
    return Judgement(guard.text, verdict, values[0], values[1], limit, p, level)


def measured(guard: Guard, tally: Tally) -> float | None:
    """What a guard is about, of one arm: a share, milliseconds or dollars; None where nothing is known."""
    if guard.kind is Kind.TIME:
        return quantile(tally.times(guard), guard.quantile)
    if guard.kind is Kind.COST:
        return tally.cost_per_request()
    share = _share(guard, tally)
    return share.count / share.of if share.of else None


def _limit(guard: Guard, baseline: float | None) -> float | None:
    if guard.sort is Sort.FIXED:
        return guard.bound
    if baseline is None:
        return None
    return baseline + guard.bound if guard.sort is Sort.MORE else baseline * guard.bound


def _share(guard: Guard, tally: Tally) -> Share:
    if guard.measure == "left_rate":
        return Share(tally.left, tally.requests)
    return Share(tally.failed, tally.served + tally.failed)


def _rate(guard: Guard, baseline: Arm, arm: Arm, level: float) -> float | None:
    def parts(tally: Tally) -> tuple[int, float, float]:
        share = _share(guard, tally)
        return share.of, share.count, share.count

    effects = _effects(baseline, arm, parts)
    one, other = (_reduced(_share(guard, each.tally), by) for each, by in zip((arm, baseline), effects, strict=True))
    if not one.of or (guard.compares and not other.of):
        return None
    if guard.sort is Sort.FIXED:
        return at_least(one.count, one.of, guard.bound) if one.count > guard.bound * one.of else 1.0
    more = guard.sort is Sort.MORE
    ratio, plus = (1.0, guard.bound) if more else (guard.bound, 0.0)
    return share_beyond(one, other, ratio=ratio, plus=plus, level=level)


def _time(guard: Guard, baseline: Arm, arm: Arm, _level: float) -> float | None:
    values, others = arm.tally.times(guard), baseline.tally.times(guard)
    count = sum(others.values())
    if guard.sort is Sort.FIXED:
        border = edge = guard.bound
    else:
        at = rank(guard.quantile, count)
        if at is None:
            return None
        edge = at_rank(others, at)
        border = edge + guard.bound if guard.sort is Sort.MORE else edge * guard.bound

    def parts(tally: Tally) -> tuple[int, float, float]:
        times = tally.times(guard)
        slow = _beyond(times, edge)
        return sum(times.values()), slow, slow

    effects = _effects(baseline, arm, parts)
    slow = _reduced(Share(_beyond(values, border), sum(values.values())), effects[0])
    if not slow.of:
        return None
    if guard.sort is Sort.FIXED:
        return at_least(slow.count, slow.of, 1 - guard.quantile)
    fewer = int(count / effects[1])
    at = rank(guard.quantile, fewer)
    return None if at is None else quantile_beyond(slow.count, slow.of, at, fewer)


def _cost(guard: Guard, baseline: Arm, arm: Arm, _level: float) -> float | None:
    def parts(tally: Tally) -> tuple[int, float, float]:
        return tally.costs, tally.cost, tally.cost_squares

    effects = _effects(baseline, arm, parts)
    one, other = (_mean(each.tally, by) for each, by in zip((arm, baseline), effects, strict=True))
    if one is None:
        return None
    if guard.sort is Sort.FIXED:
        return mean_beyond(one, None, ratio=1.0, plus=guard.bound)
    return None if other is None else mean_beyond(one, other, ratio=guard.bound)


_TESTS: Final = {Kind.RATE: _rate, Kind.TIME: _time, Kind.COST: _cost}


def _beyond(values: Mapping[int, int], border: float) -> int:
    return sum(count for value, count in values.items() if value > border)


def _mean(tally: Tally, effect: float) -> Mean | None:
    count = int(tally.costs / effect)
    if count < LEAST_COSTS:
        return None
    mean = tally.cost / tally.costs
    variance = max(0.0, tally.cost_squares - tally.costs * mean * mean) / (tally.costs - 1)
    return Mean(count, mean, variance)


def _effects(baseline: Arm, arm: Arm, parts: Parts) -> tuple[float, float]:
    """By how much the requests of the target and of the baseline count for less."""
    if not arm.units and not baseline.units:
        return 1.0, 1.0
    units = [[found for unit in each.units if (found := parts(unit))[0]] for each in (baseline, arm)]
    likeness = correlation(units[0]) if len(units[0]) >= _UNITS else None
    least = _LIKENESS_OF_FEW if len(units[1]) < _FEW else _LEAST_LIKENESS
    alike = 1.0 if likeness is None else max(likeness, least)
    one, other = (design_effect([unit[0] for unit in found], alike) for found in reversed(units))
    return one, other


def _reduced(share: Share, effect: float) -> Share:
    """As if there were so many fewer; rounded so that less speaks against the arm."""
    return share if effect == 1.0 else Share(int(share.count / effect), int(share.of / effect))
