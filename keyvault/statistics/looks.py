"""How an error rate is shared between several looks at the same data, so that looking often alarms no more often.

`spent` is the spending function of Lan and DeMets (Biometrika 70, 1983) that resembles Pocock's boundary: early looks
get enough to catch what is plainly bad, late ones most of the rest. What a look may spend is used as the level of its
own test, and the levels add up to the whole rate: by Boole's inequality that bounds the chance of any false alarm,
however the looks depend on each other and whatever the test, as long as each test keeps its own level. Lan and DeMets'
recursion would allow a little more at each look, for normal data alone; that is given up for a bound that always holds.

`overtime` shares a rate between looks without an end: the n-th gets 6 / (pi n) ** 2 of it, which adds up to one.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import e, log1p, pi


def spent(fraction: float) -> float:
    """The part of the rate that is spent when this fraction of the time is over."""
    return log1p((e - 1) * min(max(fraction, 0.0), 1.0))


def increments(fractions: Sequence[float]) -> tuple[float, ...]:
    """The part of the rate for each look; `fractions`: when they are, growing, the last at 1."""
    return tuple(spent(later) - spent(earlier) for earlier, later in pairwise((0.0, *fractions)))


def doubling(count: int) -> tuple[float, ...]:
    """The fractions of time of so many looks, each after twice the time of the one before it: whatever is wrong is seen
    within twice the time that it takes to show."""
    return tuple(0.5 ** (count - 1 - at) for at in range(count))


def overtime(number: int) -> float:
    """The part of the rate for one of endlessly many looks, counted from 1."""
    return 6 / (pi * number) ** 2
