"""The tests behind guards agree with scipy, and keep their level whatever the counts."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from keyvault.statistics import tails, two_arms
from keyvault.statistics.looks import doubling, increments, overtime, spent
from keyvault.statistics.two_arms import Mean, Null, Share, share_beyond

NEAR = pytest.approx


def test_tails_agree_with_scipy_on_a_thousand_random_data_sets() -> None:
    draw = random.Random(1)
    for _ in range(1_000):
        trials = draw.choice([1, 5, 50, 1_000, 100_000])
        count, share = draw.randint(0, trials), draw.random() ** 2
        assert tails.at_least(count, trials, share) == NEAR(stats.binom.sf(count - 1, trials, share), abs=1e-10)
        assert tails.at_most(count, trials, share) == NEAR(stats.binom.cdf(count, trials, share), abs=1e-10)
        assert tails.probability(count, trials, share) == NEAR(
            stats.binom.pmf(count, trials, share), rel=1e-6, abs=1e-12
        )
        t, freedom = draw.gauss(0, 3), draw.uniform(1, 500)
        assert tails.student_upper(t, freedom) == NEAR(stats.t.sf(t, freedom), abs=1e-10)


def test_beta_binomial_tails_and_exact_intervals_agree_with_scipy() -> None:
    draw = random.Random(2)
    for _ in range(60):
        trials, a, b = draw.randint(1, 1_000), draw.randint(1, 200), draw.randint(1, 3_000)
        count = draw.randint(0, trials)
        assert tails.beta_binomial_at_least(count, trials, a, b) == NEAR(
            stats.betabinom.sf(count - 1, trials, a, b), abs=1e-10
        )
        exact = stats.binomtest(count, trials).proportion_ci(method="exact")
        found = tails.exact_interval(count, trials)
        assert (found.low, found.high) == (NEAR(exact.low, abs=1e-9), NEAR(exact.high, abs=1e-9))


def test_the_test_of_means_is_welch_s() -> None:
    draw = np.random.default_rng(3)
    for _ in range(200):
        one, other = draw.lognormal(0.2, 1, draw.integers(5, 80)), draw.lognormal(0, 1, draw.integers(5, 80))
        expected = stats.ttest_ind(one, 1.5 * other, equal_var=False, alternative="greater").pvalue
        means = [Mean(len(each), float(each.mean()), float(each.var(ddof=1))) for each in (one, other)]
        assert two_arms.mean_beyond(*means, ratio=1.5) == NEAR(expected, rel=1e-6)
        alone = stats.ttest_1samp(one, 1.2, alternative="greater").pvalue
        assert two_arms.mean_beyond(means[0], None, ratio=1, plus=1.2) == NEAR(alone, rel=1e-6)


def test_costs_that_are_all_alike_differ_or_they_do_not() -> None:
    same = Mean(20, 0.01, 0.0)
    assert two_arms.mean_beyond(same, same, ratio=2) == 1.0
    assert two_arms.mean_beyond(Mean(20, 0.03, 0.0), same, ratio=2) == 0.0
    for noise, told in ((0.0, 1.0), (1e-33, 0.5)):
        rounded = two_arms.mean_beyond(Mean(20, 0.1 + 0.2, noise), Mean(20, 0.3, 0.0), ratio=1)
        assert rounded == told, "the same amounts, added up in another order"


@pytest.mark.parametrize(("ratio", "plus"), [(1.0, 0.01), (1.0, 0.1), (2.0, 0.0)])
@pytest.mark.parametrize("sizes", [(12, 60), (20, 20)])
def test_a_share_at_the_bound_is_found_beyond_it_no_oftener_than_the_level_says(
    ratio: float, plus: float, sizes: tuple[int, int]
) -> None:
    """All tables of two arms, each with its chance: no drawing of numbers."""
    level, (arm, other) = 0.01, sizes
    beyond = [
        (count, of_other)
        for count in range(arm + 1)
        for of_other in range(other + 1)
        if share_beyond(Share(count, arm), Share(of_other, other), ratio=ratio, plus=plus, level=level) <= level
    ]
    for share in (0.001, 0.01, 0.03, 0.1, 0.3):
        bound = ratio * share + plus
        chance = sum(tails.probability(x, arm, bound) * tails.probability(y, other, share) for x, y in beyond)
        assert chance <= level


def test_large_counts_are_tested_as_exactly_as_small_ones() -> None:
    """Where the sum gets long an expansion takes its place; they agree where both can be had."""
    for arm, other, ratio, plus in (
        ((1_400, 40_000), (1_320, 60_000), 1.0, 0.01),
        ((900, 15_000), (1_650, 60_000), 2.0, 0.0),
    ):
        null = Null(arm[1], other[1], ratio, plus)
        score = null.score(arm[0], other[0])
        assert 2 < score < 4
        exact = null.tail(score, other[0] / other[1])
        assert null.expanded(arm[0], other[0]) == NEAR(exact, rel=0.05)


def test_ten_failures_of_ten_are_enough_and_one_of_ten_is_not() -> None:
    assert share_beyond(Share(10, 10), Share(0, 190), ratio=1, plus=0.01, level=0.001) < 0.001
    assert share_beyond(Share(1, 10), Share(0, 190), ratio=1, plus=0.01, level=0.001) > 0.05
    assert share_beyond(Share(0, 0), Share(0, 190), ratio=1, plus=0.01, level=0.001) == 1.0


def test_a_quantile_needs_so_many_values_that_one_of_them_stands_for_it() -> None:
    assert two_arms.rank(0.95, 18) is None
    assert (two_arms.rank(0.95, 19), two_arms.rank(0.5, 1), two_arms.rank(0.99, 99)) == (19, 1, 99)


def test_the_parts_of_the_looks_add_up_to_the_whole() -> None:
    assert doubling(4) == (0.125, 0.25, 0.5, 1.0)
    assert sum(increments(doubling(5))) == NEAR(1.0)
    assert (spent(0), spent(1), spent(2)) == (0.0, NEAR(1.0), NEAR(1.0))
    assert sum(overtime(number) for number in range(1, 100_000)) == NEAR(1.0, abs=1e-4)
    assert math.isclose(overtime(1), 6 / math.pi**2)


def test_requests_of_one_unit_count_for_less_the_more_alike_they_are() -> None:
    alike = [(50, 50.0 * (at % 2), 50.0 * (at % 2)) for at in range(40)]
    mixed = [(50, 25.0, 25.0) for _ in range(40)]
    assert two_arms.correlation(alike) == NEAR(1.0)
    assert two_arms.correlation(mixed) == 0.0
    assert two_arms.correlation(mixed[:1]) is None
    assert two_arms.design_effect([50, 50], 1.0) == 50
    assert two_arms.design_effect([1] * 30, 1.0) == 1.0
