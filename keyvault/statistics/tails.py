"""Tails of the beta, binomial, beta-binomial and Student distributions, and the exact interval of a share.

The incomplete beta function is the continued fraction of Abramowitz and Stegun 26.5.8, evaluated by Lentz's method;
the others follow from it (26.5.24 and 26.7.1). The interval is Clopper and Pearson's (Biometrika 26, 1934): whatever
the share, it holds it at least as often as it says.
"""

from collections.abc import Callable
from math import exp, lgamma, log, log1p, sqrt

from keyvault.statistics.interval import Interval

_TINY = 1e-300
_ENOUGH = 1e-15
_MOST_TERMS = 2_000
_HALVINGS = 60


def beta(x: float, a: float, b: float) -> float:
    """The chance that a beta variable with these shapes is at most `x`."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1.0 - front * _fraction(1 - x, b, a) / b


def at_least(successes: int, trials: int, share: float) -> float:
    """The chance of so many successes or more, each trial being one with the chance `share`."""
    if successes <= 0:
        return 1.0
    return 0.0 if successes > trials else beta(share, successes, trials - successes + 1)


def at_most(successes: int, trials: int, share: float) -> float:
    """The chance of so many successes or fewer."""
    if successes >= trials:
        return 1.0
    return 0.0 if successes < 0 else beta(1 - share, trials - successes, successes + 1)


def probability(successes: int, trials: int, share: float) -> float:
    """The chance of exactly so many successes."""
    if share <= 0.0 or share >= 1.0:
        return float(successes == (trials if share >= 1.0 else 0))
    ways = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
    return exp(ways + successes * log(share) + (trials - successes) * log1p(-share))


def beta_binomial_at_least(successes: int, trials: int, a: float, b: float) -> float:
    """The chance of so many successes or more, where the chance of one is itself a beta variable."""
    if successes <= 0:
        return 1.0
    term = exp(
        lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
        + lgamma(successes + a) + lgamma(trials - successes + b) - lgamma(trials + a + b)
        + lgamma(a + b) - lgamma(a) - lgamma(b)
    ) if successes <= trials else 0.0  # fmt: skip
    total, at = 0.0, successes
    while term > 0.0 and at <= trials:
        total += term
        growth = (trials - at) / (at + 1) * (at + a) / (trials - at - 1 + b) if at < trials else 0.0
        if growth < 1.0 and term < total * _ENOUGH:
            break
        term, at = term * growth, at + 1
    return min(total, 1.0)


def student_upper(t: float, freedom: float) -> float:
    """The chance that Student's t with so many degrees of freedom is at least `t`."""
    half = beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return half if t >= 0 else 1.0 - half


def student_critical(confidence: float, freedom: float) -> float:
    """How many standard errors an interval of this confidence reaches to either side."""
    share = _where(lambda each: beta(each, freedom / 2, 0.5) >= 1 - confidence)
    return sqrt(freedom * (1 - share) / share)


def exact_interval(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Clopper and Pearson's interval of a share; without a trial it is everything from 0 to 1."""
    miss = (1 - confidence) / 2
    low = 0.0 if not successes else _where(lambda share: at_least(successes, trials, share) >= miss)
    high = 1.0 if successes >= trials else _where(lambda share: at_most(successes, trials, share) <= miss)
    return Interval(low, high)


def _where(holds: Callable[[float], bool]) -> float:
    """The least share from which on something holds."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return (low + high) / 2


def _fraction(x: float, a: float, b: float) -> float:
    d = 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    c, found = 1.0, d
    for m in range(1, max(_MOST_TERMS, int(10 * sqrt(max(a, b))))):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + numerator / c
            c = c if abs(c) > _TINY else _TINY
            found *= d * c
        if abs(d * c - 1.0) < _ENOUGH:
            break
    return found
