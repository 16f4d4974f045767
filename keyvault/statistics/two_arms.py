"""Whether one of two arms is worse than the other by more than a bound: shares, quantiles and means.

Each test is one-sided. It takes for granted that the arm is no worse than the bound and gives the chance, at most, of
data that speak so much against it: a p-value.

- `share_beyond`: exact and unconditional, whatever the counts. The statistic is the arm's share less `ratio` times the
  other's; its tail is summed over both binomials at `bound = ratio * share + plus`, the worst value is taken over an
  interval of the unknown share, and what the interval may miss is added (Berger and Boos, JASA 89, 1994). Where the
  counts are so large that the sum is long, an Edgeworth expansion to the skewness takes its place.
- `quantile_beyond`: Mathisen's test (Annals of Mathematical Statistics 14, 1943) for any quantile, of no particular
  distribution: how many of the arm lie beyond the other's quantile, moved by the bound. Their number is beta-binomial.
  Exact where the arm, moved back, is like the other; equal values make it more careful.
- `mean_beyond`: Welch's t (Biometrika 34, 1947) of the arm's mean less `ratio` times the other's, as Fieller (1954) has
  it; approximate for few or very skewed values, so callers ask for some.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import asin, ceil, exp, floor, isinf, pi, sin, sqrt

from keyvault.statistics import normal
from keyvault.statistics.tails import (
    at_least,
    at_most,
    beta_binomial_at_least,
    exact_interval,
    probability,
    student_upper,
)

POINTS = 24
"""Values of the unknown share that are tried."""
MOST_SPREAD = 50.0
"""Standard deviations of a count up to which tails are summed."""
_REACH = 9.0
"""Standard deviations from the mean beyond which nothing is added."""
_MISSED = 0.05
"""The part of the level that the interval of the unknown share may miss."""
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    count: int
    of: int


@dataclass(frozen=True, slots=True)
class Mean:
    """What is needed of values to compare their mean."""

    values: int
    mean: float
    variance: float
    """Of single values."""


def share_beyond(arm: Share, other: Share, *, ratio: float, plus: float, level: float) -> float:
    """The p-value against `arm <= ratio * other + plus`, exact below `level`; above it, it may be larger still."""
    if not arm.of or not other.of:
        return 1.0
    if arm.count / arm.of <= ratio * other.count / other.of + plus:
        return 1.0
    if not ratio:
        return at_least(arm.count, arm.of, plus)
    missed = level * _MISSED
    worst = 0.0
    for share in _shares(other, missed):
        worst = max(worst, _tail(arm, other, share, ratio, plus))
        if worst + missed > level:
            break
    return min(1.0, worst + missed)


def _shares(other: Share, missed: float) -> Iterator[float]:
    """The values that the unknown share may have, the likeliest first."""
    known = exact_interval(other.count, other.of, 1 - missed)
    yield other.count / other.of
    low, high = asin(sqrt(known.low)), asin(sqrt(known.high))
    for at in range(POINTS - 1, -1, -1):  # the worst is near the upper end, as a rule
        yield sin(low + (high - low) * at / (POINTS - 1)) ** 2


def _tail(arm: Share, other: Share, share: float, ratio: float, plus: float) -> float:
    """The chance of a difference as large as the one seen, at one value of the unknown share."""
    bound = min(1.0, ratio * share + plus)
    mean, spread = arm.of * bound, sqrt(arm.of * bound * (1 - bound))
    if spread > MOST_SPREAD:
        return _expanded(arm, other, share, bound, ratio)
    first = max(0, floor(mean - _REACH * spread - _REACH))
    last = min(arm.of, ceil(mean + _REACH * spread + _REACH))
    total = 0.0
    per = other.of / (ratio * arm.of)
    for count in range(last, first - 1, -1):
        most = floor(other.count + (count - arm.count) * per + _SLACK)
        if most < 0:
            break
        total += probability(count, arm.of, bound) * at_most(most, other.of, share)
    return total + at_least(last + 1, arm.of, bound)


def _expanded(arm: Share, other: Share, share: float, bound: float, ratio: float) -> float:
    first, second = bound * (1 - bound) / arm.of, ratio * ratio * share * (1 - share) / other.of
    spread = sqrt(first + second)
    seen = arm.count / arm.of - ratio * other.count / other.of
    z = (seen - (bound - ratio * share)) / spread
    skew = first * (1 - 2 * bound) / arm.of - ratio * second * (1 - 2 * share) / other.of
    skew /= spread**3
    return max(0.0, normal.upper(z) + exp(-z * z / 2) / sqrt(2 * pi) * skew * (z * z - 1) / 6)


def rank(quantile: float, values: int) -> int | None:
    """Which of so many values in order, from 1, stands for a quantile; None where they are too few."""
    at = ceil(quantile * (values + 1))
    return at if 1 <= at <= values else None


def quantile_beyond(beyond: int, arm: int, at: int, other: int) -> float:
    """The p-value where `beyond` of the arm's values lie beyond the `at`-th in order of the other's, moved by the
    bound."""
    return beta_binomial_at_least(beyond, arm, other - at + 1, at)


def mean_beyond(arm: Mean, other: Mean | None, *, ratio: float, plus: float = 0.0) -> float:
    """The p-value against `arm <= ratio * other + plus`; without an other, against `arm <= plus`."""
    parts = [(arm.variance / arm.values, arm.values)]
    distance = arm.mean - plus
    if other is not None:
        parts.append((ratio * ratio * other.variance / other.values, other.values))
        distance -= ratio * other.mean
    error = sum(part for part, _ in parts)
    if error <= 0.0:  # all alike: what differs, differs
        return 0.0 if distance > 0 else 1.0
    freedom = error * error / sum(part * part / max(values - 1, 1) for part, values in parts if part)
    t = distance / sqrt(error)
    return 0.0 if isinf(t) else student_upper(t, freedom)


def design_effect(sizes: list[int], correlation: float) -> float:
    """By how much units of many requests count less than as many requests by themselves (Kish, 1965)."""
    total = sum(sizes)
    return max(1.0, 1 + (sum(size * size for size in sizes) / total - 1) * correlation) if total else 1.0


def correlation(units: list[tuple[int, float, float]]) -> float | None:
    """How alike the values of one unit are, from (values, sum, sum of squares) of each: the intraclass correlation by
    the analysis of variance (Donner, 1986), at least 0; None for too few units to tell."""
    units = [unit for unit in units if unit[0]]
    count, total = len(units), sum(unit[0] for unit in units)
    if count < 2 or total <= count:
        return None
    mean = sum(unit[1] for unit in units) / total
    within = sum(max(0.0, squares - added * added / size) for size, added, squares in units) / (total - count)
    between = sum(size * (added / size - mean) ** 2 for size, added, _ in units) / (count - 1)
    size = (total - sum(unit[0] ** 2 for unit in units) / total) / (count - 1)
    spread = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 0.0
