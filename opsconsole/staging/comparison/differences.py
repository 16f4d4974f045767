"""What the differences of two models are worth: estimate, interval, test, correction for several, and how many prompts
it would take.

- shares of right answers without repeats: the difference with Newcombe's paired interval, McNemar's exact test;
- scores between, preferences: the mean difference with a bootstrap interval, the randomisation test;
- times: the typical ratio (the geometric mean over prompts), which one long answer does not decide, with a bootstrap
  interval and the randomisation test of its logarithms;
- costs: the ratio of the totals, which is the ratio of the bills, with Fieller's interval, and the randomisation test
  of the differences.

A difference is shown where the p-value after Holm's correction, over all comparisons by one measure, is at most 5 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import exp, log
from statistics import pstdev
from typing import Final

from keyvault.statistics.bootstrap import bootstrap, mean
from keyvault.statistics.interval import Interval
from keyvault.statistics.pairs import mcnemar, sign_flips
from keyvault.statistics.planning import pairs_for_mean, pairs_for_shares, smallest_shown
from keyvault.statistics.proportions import Fourfold, paired_difference
from keyvault.statistics.ratios import fieller, ratio_of_totals
from keyvault.statistics.several import holm
from opsconsole.view.comparison.report import Difference, Measure, Verdict

SIGNIFICANCE: Final = 0.05
POWER: Final = 0.8
FEWEST: Final = 2
"""Pairs below which nothing is estimated."""

Values = Mapping[str, Mapping[str, float]]
"""Model → prompt → value."""
Preferences = Mapping[tuple[str, str], Mapping[str, float]]
"""(first model, second model) → prompt → from -1 to 1."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A comparison before it is held against the others."""

    first: str
    second: str
    task: str | None
    prompts: int
    estimate: float | None = None
    interval: Interval | None = None
    p: float | None = None
    leans: float = 0.0
    """Above zero where the first one has more of what is measured."""
    differences: tuple[float, ...] = ()
    shares: tuple[float, float] | None = None
    """Of pairs that only the first and only the second passed, where that is all there is."""


def of_scores(measure: Measure, scores: Values, tasks: Mapping[str, str | None]) -> list[Difference]:
    """Every two models by a score from 0 to 1, over all prompts and in each class of tasks."""
    pairs = {
        (first, second): {prompt: (scores[first][prompt], scores[second][prompt]) for prompt in _shared(scores, pair)}
        for pair in combinations(scores, 2)
        for first, second in (pair,)
    }
    return [
        difference
        for seen in _by_task(pairs, tasks)
        for difference in _judged(measure, [_scored(*each) for each in seen], higher_is_better=True)
    ]


def of_preferences(measure: Measure, preferences: Preferences, tasks: Mapping[str, str | None]) -> list[Difference]:
    """Every two models by how far answers of the first are preferred."""
    pairs = {pair: {prompt: (value, 0.0) for prompt, value in told.items()} for pair, told in preferences.items()}
    return [
        difference
        for seen in _by_task(pairs, tasks)
        for difference in _judged(measure, [_preferred(*each) for each in seen], higher_is_better=True)
    ]


def of_amounts(measure: Measure, amounts: Values) -> list[Difference]:
    """Every two models by what an answer takes, in time or money."""
    compared = _billed if measure is Measure.COST else _timed
    seen = [
        compared(first, second, [(amounts[first][prompt], amounts[second][prompt]) for prompt in shared])
        for pair in combinations(amounts, 2)
        for first, second in (pair,)
        if (shared := _shared(amounts, pair))
    ]
    return _judged(measure, seen, higher_is_better=False)


_Pair = tuple[float, float]
_Comparable = tuple[str, str, str | None, list[_Pair]]


def _by_task(
    pairs: Mapping[tuple[str, str], Mapping[str, _Pair]], tasks: Mapping[str, str | None]
) -> list[list[_Comparable]]:
    """The families of comparisons that are corrected together: over all prompts, and all those within tasks."""
    whole: list[_Comparable] = [(*models, None, list(told.values())) for models, told in pairs.items() if told]
    named = sorted({task for task in tasks.values() if task is not None})
    within: list[_Comparable] = [
        (*models, task, values)
        for task in named
        for models, told in pairs.items()
        if (values := [value for prompt, value in told.items() if tasks.get(prompt) == task])
    ]
    return [whole, within]


def _scored(first: str, second: str, task: str | None, pairs: Sequence[_Pair]) -> _Seen:
    """Right or wrong where every score is that, else scores between."""
    if any(value not in (0.0, 1.0) for pair in pairs for value in pair):
        return _preferred(first, second, task, pairs)
    table = Fourfold(pairs.count((1.0, 1.0)), pairs.count((1.0, 0.0)), pairs.count((0.0, 1.0)), pairs.count((0.0, 0.0)))
    return _Seen(
        first,
        second,
        task,
        table.trials,
        table.difference,
        paired_difference(table),
        mcnemar(table.first, table.second),
        table.difference,
        tuple(one - other for one, other in pairs),
        (table.first / table.trials, table.second / table.trials),
    )


def _preferred(first: str, second: str, task: str | None, pairs: Sequence[_Pair]) -> _Seen:
    moved = tuple(one - other for one, other in pairs)
    if len(moved) < FEWEST:
        return _Seen(first, second, task, len(moved))
    estimate = mean(moved)
    return _Seen(first, second, task, len(moved), estimate, bootstrap(moved, mean), sign_flips(moved), estimate, moved)


def _timed(first: str, second: str, pairs: Sequence[_Pair]) -> _Seen:
    if len(pairs) < FEWEST or not all(one > 0 and other > 0 for one, other in pairs):
        return _Seen(first, second, None, len(pairs))
    seen = _preferred(first, second, None, [(log(one), log(other)) for one, other in pairs])
    interval = None if seen.interval is None else Interval(exp(seen.interval.low), exp(seen.interval.high))
    return replace(seen, estimate=exp(seen.estimate or 0.0), interval=interval)


def _billed(first: str, second: str, pairs: Sequence[_Pair]) -> _Seen:
    moved = tuple(one - other for one, other in pairs)
    if len(pairs) < FEWEST or not all(other > 0 for _, other in pairs):
        return _Seen(first, second, None, len(pairs))
    interval = fieller(pairs)
    return _Seen(
        first, second, None, len(pairs), ratio_of_totals(pairs), interval, sign_flips(moved), sum(moved), moved
    )


def _judged(measure: Measure, seen: Sequence[_Seen], *, higher_is_better: bool) -> list[Difference]:
    """The comparisons of one family, held against one another."""
    tested = [each for each in seen if each.p is not None]
    adjusted = dict(zip(map(id, tested), holm([each.p for each in tested if each.p is not None]), strict=True))
    found = [_difference(measure, each, adjusted.get(id(each)), len(tested)) for each in seen]
    return found if higher_is_better else [_turned(each) for each in found]


def _difference(measure: Measure, seen: _Seen, adjusted: float | None, comparisons: int) -> Difference:
    shown = adjusted is not None and adjusted <= SIGNIFICANCE and seen.leans != 0
    level = SIGNIFICANCE / max(1, comparisons)
    deviation = pstdev(seen.differences) if seen.differences else 0.0
    return Difference(
        measure=measure,
        first=seen.first,
        second=seen.second,
        prompts=seen.prompts,
        task=seen.task,
        estimate=seen.estimate,
        low=None if seen.interval is None else seen.interval.low,
        high=None if seen.interval is None else seen.interval.high,
        p=seen.p,
        adjusted_p=adjusted,
        comparisons=comparisons,
        verdict=(Verdict.FIRST if seen.leans > 0 else Verdict.SECOND) if shown else Verdict.UNCLEAR,
        needed=None if shown or seen.p is None else _needed(seen, deviation, level),
        detectable=_detectable(measure, seen, deviation, level),
    )


def _needed(seen: _Seen, deviation: float, level: float) -> int | None:
    if seen.shares is not None:
        found = pairs_for_shares(*seen.shares, power=POWER, significance=level)
    else:
        found = pairs_for_mean(mean(seen.differences), deviation, power=POWER, significance=level)
    return None if found is None else max(found, seen.prompts + 1)


def _detectable(measure: Measure, seen: _Seen, deviation: float, level: float) -> float | None:
    if not measure.is_quality:
        return None
    found = smallest_shown(deviation, seen.prompts, power=POWER, significance=level)
    return None if found is None or found > 1 else found


def _turned(difference: Difference) -> Difference:
    """Where less is better, the one that takes more is the worse."""
    other = {Verdict.FIRST: Verdict.SECOND, Verdict.SECOND: Verdict.FIRST}
    return replace(difference, verdict=other.get(difference.verdict, difference.verdict))


def _shared(values: Values, pair: tuple[str, str]) -> list[str]:
    """The prompts that both have a value for."""
    first, second = pair
    return [prompt for prompt in values[first] if prompt in values[second]]
