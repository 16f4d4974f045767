"""The ratio of two totals over the same trials, such as two bills for the same requests, and how sure it is.

Fieller, Some Problems in Interval Estimation, Journal of the Royal Statistical Society B 16, 1954: the interval holds
every ratio that a t-test of the pairs does not reject. It needs no resampling, and holds better than the bootstrap
where amounts have a long tail.
"""

from collections.abc import Sequence
from math import fsum, sqrt

from keyvault.statistics.interval import Interval
from keyvault.statistics.tails import student_critical

Pairs = Sequence[tuple[float, float]]

_ROUNDING = 1e-12


def ratio_of_totals(pairs: Pairs) -> float:
    """All the first amounts over all the second ones."""
    return fsum(first for first, _ in pairs) / fsum(second for _, second in pairs)


def fieller(pairs: Pairs, confidence: float = 0.95) -> Interval | None:
    """The interval of the ratio; None where the pairs set no bounds to it, or show no spread at all."""
    size = len(pairs)
    if size < 2:
        return None
    first, second = (fsum(pair[at] for pair in pairs) / size for at in (0, 1))
    away = [(one - first, other - second) for one, other in pairs]
    spread = [fsum(each[a] * each[b] for each in away) / (size * (size - 1)) for a, b in ((0, 0), (0, 1), (1, 1))]
    squared = student_critical(confidence, size - 1) ** 2
    middle, edge = first * second - squared * spread[1], second**2 - squared * spread[2]
    under = middle**2 - edge * (first**2 - squared * spread[0])
    if edge <= 0 or under <= _ROUNDING * middle**2:
        return None
    return Interval((middle - sqrt(under)) / edge, (middle + sqrt(under)) / edge)
