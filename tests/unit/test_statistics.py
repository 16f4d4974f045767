"""The statistics beside scipy's on 1,000 random data sets, and beside published figures where scipy has none."""

from __future__ import annotations

import random

import pytest
from scipy import stats as scipy_stats

from keyvault.statistics import normal
from keyvault.statistics.proportions import Fourfold, paired_difference, wilson


DATA_SETS = 1000


def test_the_normal_distribution_agrees_with_scipy_far_into_its_tails() -> None:
    chance = random.Random(1)
    for _ in range(DATA_SETS):
        z, probability = chance.uniform(-30, 30), chance.random()
        assert normal.cdf(z) == pytest.approx(scipy_stats.norm.cdf(z), rel=1e-12)
        assert normal.upper(z) == pytest.approx(scipy_stats.norm.sf(z), rel=1e-12)
        assert normal.quantile(probability) == pytest.approx(scipy_stats.norm.ppf(probability), rel=1e-10, abs=1e-12)


def test_the_interval_of_a_share_agrees_with_scipy() -> None:
    chance = random.Random(2)
    for _ in range(DATA_SETS):
        trials = chance.randint(1, 500)
        successes, confidence = chance.randint(0, trials), chance.choice([0.8, 0.9, 0.95, 0.99])
        theirs = scipy_stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
        ours = wilson(successes, trials, confidence)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_interval_of_a_paired_difference_is_the_published_one() -> None:
    # Newcombe 1998, method 10 at 95 %, of 36 pairs that agree and 12 against 2 that do not.
    ours = paired_difference(Fourfold(36, 12, 2, 0))
    assert (ours.low, ours.high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
