"""Tests of two things measured on the same trials: how often chance alone would set them as far apart.

`mcnemar` is exact (McNemar, Psychometrika 12, 1947; its binomial form): only trials on which the two differ count, and
without a true difference each of them is a fair coin. `sign_flips` is Fisher's randomisation test of paired measures
(The Design of Experiments, 1935, section 21): without a true difference each pair might as well have come the other
way round. It looks at every way up to `EXACT_PAIRS` pairs, and at seeded draws of them beyond. Both are two-sided.
"""

import random
from collections.abc import Sequence
from math import comb, fsum
from operator import mul
from typing import Final

EXACT_PAIRS: Final = 16
DRAWS: Final = 10_000

_ROUNDING: Final = 1e-12
"""Sums that differ by no more than this share of the largest are the same sum, added in another order."""


def mcnemar(first_only: int, second_only: int) -> float:
    """The p-value of trials that only the first and that only the second passed."""
    trials, fewer = first_only + second_only, min(first_only, second_only)
    ways = sum(comb(trials, count) for count in range(fewer + 1))
    return min(1.0, ways / (1 << trials) * 2)


def sign_flips(differences: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> float:
    """The p-value of the sum of paired differences."""
    moved = [difference for difference in differences if difference]
    bar = abs(fsum(moved)) - _ROUNDING * fsum(map(abs, moved))
    if len(moved) <= EXACT_PAIRS:
        sums = _every_sum(moved)
        return sum(abs(each) >= bar for each in sums) / len(sums)
    chance, ends = random.Random(seed), (-1, 1)  # noqa: S311 - not for secrets
    reached: int = sum(abs(sum(map(mul, chance.choices(ends, k=len(moved)), moved))) >= bar for _ in range(draws))
    return (reached + 1) / (draws + 1)  # what was seen is one of the ways, so that no p-value is zero


def _every_sum(values: Sequence[float]) -> list[float]:
    """The sum of the values under every choice of signs; half of them are enough, for the others mirror them."""
    sums = [values[0] if values else 0.0]
    for value in values[1:]:
        sums = [each + value for each in sums] + [each - value for each in sums]
    return sums
