"""The standard normal distribution, exact in both tails.

`cdf` is half the complementary error function (Abramowitz and Stegun 7.1.2 and 26.2.29): unlike one minus a number
close to one it keeps its digits far out. `quantile` is Wichura's AS 241, which the standard library carries.
"""

from math import erfc, sqrt
from statistics import NormalDist

_STANDARD = NormalDist()
_ROOT_TWO = sqrt(2)


def cdf(z: float) -> float:
    """The chance of a value of at most `z`."""
    return erfc(-z / _ROOT_TWO) / 2


def upper(z: float) -> float:
    """The chance of a value of at least `z`."""
    return erfc(z / _ROOT_TWO) / 2


def two_sided(z: float) -> float:
    """The chance of a value at least as far from zero as `z`, on either side."""
    return erfc(abs(z) / _ROOT_TWO)


def quantile(probability: float) -> float:
    """The value below which `probability` of the distribution lies; strictly between 0 and 1."""
    return _STANDARD.inv_cdf(probability)


def critical(confidence: float) -> float:
    """How many standard errors an interval of this confidence reaches to either side: 1.96 for 0.95."""
    return -quantile((1 - confidence) / 2)
