"""Whether one of two arms is worse than the other by more than a bound: shares, quantiles and means.

Each test is one-sided. It takes for granted that the arm is no worse than the bound and gives the chance, at most, of
data that speak so much against it: a p-value.

- `share_beyond`: exact and unconditional, whatever the counts. Outcomes are ordered by the score of Farrington and
  Manning (Statistics in Medicine 9, 1990) for a difference or a ratio; the tail is summed over both binomials, the
  worst value is taken over an interval of the unknown share, and what that may miss is added (Berger and Boos, JASA 89,
  1994). Where counts are so large that the sum is long, Edgeworth's expansion to the skewness takes its place.
- `quantile_beyond`: Mathisen's test (Annals of Mathematical Statistics 14, 1943) for any quantile, of no particular
  distribution: how many of the arm lie beyond the other's quantile, moved by the bound. Their number is beta-binomial.
  Exact where the arm, moved back, is like the other; equal values make it more careful.
- `mean_beyond`: Welch's t (Biometrika 34, 1947) of the arm's mean less `ratio` times the other's, as Fieller (1954) has
  it; approximate for few or very skewed values, so callers ask for some.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import acos, asin, ceil, copysign, cos, exp, floor, inf, pi, sin, sqrt

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
    """The p-value against `arm <= ratio * other + plus`, exact below `level`; above it, it may be larger still.

    One of both says how the bound is meant: `ratio` is 1 or `plus` is 0.
    """
    if not arm.of or not other.of:
        return 1.0
    null = Null(arm.of, other.of, ratio, plus)
    seen = null.score(arm.count, other.count)
    if seen <= 0.0:
        return 1.0
    if null.spread(arm.count, other.count) > MOST_SPREAD:
        return null.expanded(arm.count, other.count)
    missed = level * _MISSED
    worst = 0.0
    for share in _shares(other, missed):
        worst = max(worst, null.tail(seen, share))
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


class Null:
    """Two arms of which the first is just at the bound."""

    def __init__(self, arm: int, other: int, ratio: float, plus: float) -> None:
        """The sizes of both, and the bound."""
        self._arm, self._other = arm, other
        self._ratio, self._plus = ratio, plus
        self._most: dict[tuple[float, int], int] = {}

    def score(self, count: int, other: int) -> float:
        """How many standard errors two counts lie beyond the bound, the error being the one at the bound."""
        distance = count / self._arm - self._ratio * other / self._other - self._plus
        if distance <= 0.0:
            return 0.0
        first, second = self._fitted(count / self._arm, other / self._other)
        error = first * (1 - first) / self._arm + self._ratio**2 * second * (1 - second) / self._other
        return distance / sqrt(error) if error > 0.0 else inf

    def spread(self, count: int, other: int) -> float:
        """The standard deviation of the arm's count, at the bound."""
        first, _ = self._fitted(count / self._arm, other / self._other)
        return sqrt(self._arm * first * (1 - first))

    def tail(self, seen: float, share: float) -> float:
        """The chance of a score as high as the one seen, at one value of the unknown share."""
        bound = min(1.0, self._ratio * share + self._plus)
        mean, spread = self._arm * bound, sqrt(self._arm * bound * (1 - bound))
        first = max(0, floor(mean - _REACH * spread - _REACH))
        last = min(self._arm, ceil(mean + _REACH * spread + _REACH))
        total = 0.0
        for count in range(last, first - 1, -1):
            most = self._most_of_other(seen, count)
            if most < 0:
                break
            total += probability(count, self._arm, bound) * at_most(most, self._other, share)
        return total + at_least(last + 1, self._arm, bound)

    def expanded(self, count: int, other: int) -> float:
        """The same for large counts, where it hardly depends on the share: Edgeworth's expansion to the skewness."""
        z = self.score(count, other)
        first, second = self._fitted(count / self._arm, other / self._other)
        one, two = first * (1 - first) / self._arm, self._ratio**2 * second * (1 - second) / self._other
        skew = one * (1 - 2 * first) / self._arm - self._ratio * two * (1 - 2 * second) / self._other
        skew /= (one + two) * sqrt(one + two)
        return max(0.0, normal.upper(z) + exp(-z * z / 2) / sqrt(2 * pi) * skew * (z * z - 1) / 6)

    def _most_of_other(self, seen: float, count: int) -> int:
        """With so many of the arm, how many of the other still leave a score as high; -1 for none."""
        found = self._most.get((seen, count))
        if found is None:
            low, high = -1, self._other
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if self.score(count, middle) >= seen - _SLACK else (low, middle - 1)
            found = self._most[seen, count] = low
        return found

    def _fitted(self, first: float, second: float) -> tuple[float, float]:
        """The likeliest shares of both at the bound, given those that were seen (Farrington and Manning's appendix)."""
        theta = self._other / self._arm
        if not self._plus:
            return self._fitted_ratio(first, second, theta)
        plus, a = self._plus, 1 + theta
        b = -(1 + theta + first + theta * second + plus * (theta + 2))
        c = plus * plus + plus * (2 * first + theta + 1) + first + theta * second
        d = -first * plus * (1 + plus)
        v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
        u = copysign(sqrt(max(0.0, (b / (3 * a)) ** 2 - c / (3 * a))), v)
        w = (pi + acos(min(1.0, max(-1.0, v / (u * u * u))))) / 3 if u else 0.0
        fitted = min(1.0, max(plus, 2 * u * cos(w) - b / (3 * a)))
        return fitted, fitted - plus

    def _fitted_ratio(self, first: float, second: float, theta: float) -> tuple[float, float]:
        ratio, a = self._ratio, 1 + theta
        b = -(ratio * (1 + theta * second) + theta + first)
        c = ratio * (first + theta * second)
        fitted = min(1.0, max(0.0, (-b - sqrt(max(0.0, b * b - 4 * a * c))) / (2 * a)))
        return fitted, fitted / ratio


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
    bound = plus
    if other is not None:
        parts.append((ratio * ratio * other.variance / other.values, other.values))
        bound += ratio * other.mean
    distance = arm.mean - bound
    if abs(distance) <= _SLACK * abs(bound):  # the same mean, added up in another order
        distance = 0.0
    error = sum(part for part, _ in parts)
    if error <= 0.0:  # all alike: what differs, differs
        return 0.0 if distance > 0 else 1.0
    freedom = error * error / sum(part * part / max(values - 1, 1) for part, values in parts if part)
    t = distance / sqrt(error)
    return student_upper(t, freedom)


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
