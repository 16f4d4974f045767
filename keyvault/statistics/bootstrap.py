"""Intervals of any figure of a sample, by resampling it: the bootstrap, corrected for bias and skewness (BCa).

Efron, Better Bootstrap Confidence Intervals, JASA 82, 1987; as in Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, section 14.3. A sample of pairs is resampled pair by pair, which keeps what its members share. The
same seed draws the same resamples.
"""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import floor, fsum
from typing import Final, TypeVar

from keyvault.statistics.interval import Interval
from keyvault.statistics.normal import cdf, quantile

RESAMPLES: Final = 10_000

_ROUNDING: Final = 1e-12
"""Figures that differ by no more than this share of them are the same, summed in another order."""

Item = TypeVar("Item")


def bootstrap(
    sample: Sequence[Item],
    figure: Callable[[Sequence[Item]], float],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """The interval of a figure; None where every resample gives the same, which tells nothing of its spread."""
    if len(sample) < 2:
        return None
    chance, size = random.Random(seed), len(sample)  # noqa: S311 - not for secrets
    return corrected([figure(chance.choices(sample, k=size)) for _ in range(resamples)], sample, figure, confidence)


def corrected(
    drawn: Sequence[float], sample: Sequence[Item], figure: Callable[[Sequence[Item]], float], confidence: float
) -> Interval | None:
    """The interval by the figures `drawn` from resamples."""
    drawn = sorted(drawn)
    if drawn[-1] - drawn[0] <= _ROUNDING * max(abs(drawn[0]), abs(drawn[-1])):
        return None
    bias, acceleration = _bias(drawn, figure(sample)), _acceleration(sample, figure)
    tail = (1 - confidence) / 2
    low, high = (_quantile(drawn, _moved(share, bias, acceleration)) for share in (tail, 1 - tail))
    return Interval(low, high)


def mean(values: Sequence[float]) -> float:
    """The plainest figure of numbers."""
    return fsum(values) / len(values)


def _bias(drawn: Sequence[float], seen: float) -> float:
    """How far the figure stands from the middle of its resamples, in standard errors; ties count half."""
    below = (bisect_left(drawn, seen) + bisect_right(drawn, seen)) / 2
    least = 0.5 / len(drawn)
    return quantile(min(max(below / len(drawn), least), 1 - least))


def _acceleration(sample: Sequence[Item], figure: Callable[[Sequence[Item]], float]) -> float:
    """How the figure's spread changes with its value: a sixth of the skewness of the jackknife."""
    left_out = [figure([*sample[:at], *sample[at + 1 :]]) for at in range(len(sample))]
    centre = sum(left_out) / len(left_out)
    away = [centre - each for each in left_out]
    squares = sum(each**2 for each in away)
    return float(sum(each**3 for each in away) / (6 * squares**1.5)) if squares else 0.0


def _moved(share: float, bias: float, acceleration: float) -> float:
    reach = bias + quantile(share)
    return cdf(bias + reach / (1 - acceleration * reach))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest values, in proportion (Hyndman and Fan's seventh)."""
    at = share * (len(ordered) - 1)
    below = floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])
