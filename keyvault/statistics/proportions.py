"""Shares of trials that went one way: how sure they are, alone and as the difference of two that were paired.

`wilson` is the score interval without continuity correction (Wilson, JASA 22, 1927). `paired_difference` is Newcombe's
method 10 (Statistics in Medicine 17, 1998, p. 2635): the two score intervals squared and added, with the correlation
of the pairs taken off. Both hold for few trials and for shares of 0 and 1, where the textbook's interval has no width.
"""

from dataclasses import dataclass
from math import sqrt

from keyvault.statistics.interval import Interval
from keyvault.statistics.normal import critical


@dataclass(frozen=True, slots=True)
class Fourfold:
    """How two things fared on the same trials: `first` counts the trials that only the first one passed."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def trials(self) -> int:
        return self.both + self.first + self.second + self.neither

    @property
    def difference(self) -> float:
        """The first one's share less the second one's."""
        return (self.first - self.second) / self.trials


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """The interval of a share; without a trial it is everything from 0 to 1."""
    if not trials:
        return Interval(0.0, 1.0)
    z = critical(confidence)
    share, squared = successes / trials, z * z / trials
    centre = (share + squared / 2) / (1 + squared)
    reach = z * sqrt(share * (1 - share) / trials + squared / (4 * trials)) / (1 + squared)
    return Interval(
        0.0 if not successes else max(0.0, centre - reach), 1.0 if successes == trials else min(1.0, centre + reach)
    )


def paired_difference(table: Fourfold, confidence: float = 0.95) -> Interval:
    """The interval of the first share less the second, both measured on the same trials; of none it is -1 to 1."""
    trials = table.trials
    if not trials:
        return Interval(-1.0, 1.0)
    passed, other = table.both + table.first, table.both + table.second
    one, two = wilson(passed, trials, confidence), wilson(other, trials, confidence)
    share, second, phi = passed / trials, other / trials, _correlation(table)
    below, above = share - one.low, two.high - second
    up, down = one.high - share, second - two.low
    return Interval(
        max(-1.0, table.difference - _reach(below, above, phi)), min(1.0, table.difference + _reach(up, down, phi))
    )


def _reach(one: float, two: float, phi: float) -> float:
    return sqrt(max(0.0, one * one - 2 * phi * one * two + two * two))


def _correlation(table: Fourfold) -> float:
    """Newcombe's phi: the correlation of the pairs, with half a table taken off where it is positive."""
    margins = (table.both + table.first) * (table.second + table.neither)
    margins *= (table.both + table.second) * (table.first + table.neither)
    if not margins:
        return 0.0
    numerator = float(table.both * table.neither - table.first * table.second)
    if numerator > 0:
        numerator = max(numerator - table.trials / 2, 0.0)
    return numerator / sqrt(margins)
