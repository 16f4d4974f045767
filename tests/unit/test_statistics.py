"""The statistics beside scipy's on 1,000 random data sets, and beside published figures where scipy has none."""

from __future__ import annotations

import random
from itertools import combinations

import numpy
import pytest
from scipy import stats as scipy_stats

from keyvault.statistics import normal
from keyvault.statistics.bootstrap import bootstrap, corrected, mean
from keyvault.statistics.pairs import EXACT_PAIRS, mcnemar, sign_flips
from keyvault.statistics.planning import fewest_discordant, pairs_for_mean, pairs_for_shares
from keyvault.statistics.proportions import Fourfold, paired_difference, wilson
from keyvault.statistics.ratios import fieller, ratio_of_totals
from keyvault.statistics.several import holm

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
    # Newcombe 1998, method 10; and Altman et al., Statistics with Confidence, 2000, table 6.2.
    for table, published in [(Fourfold(36, 12, 2, 0), (0.0569, 0.3404)), (Fourfold(14, 5, 0, 22), (0.0115, 0.2265))]:
        ours = paired_difference(table)
        assert (ours.low, ours.high) == pytest.approx(published, abs=5e-5)


def test_mcnemars_exact_test_agrees_with_scipy() -> None:
    chance = random.Random(3)
    for _ in range(DATA_SETS):
        first, second = chance.randint(0, 60), chance.randint(0, 60)
        theirs = scipy_stats.binomtest(first, first + second).pvalue if first + second else 1.0
        assert mcnemar(first, second) == pytest.approx(theirs, rel=1e-9)


def test_the_randomisation_test_agrees_with_scipy_where_both_look_at_every_way() -> None:
    chance = random.Random(4)
    for _ in range(DATA_SETS):
        pairs = chance.randint(2, 8)
        draw = chance.choice([lambda: chance.gauss(0.5, 1), lambda: chance.randint(-2, 3)])
        differences = [float(draw()) for _ in range(pairs)]
        theirs = scipy_stats.permutation_test(
            (differences,), numpy.sum, permutation_type="samples", vectorized=True, n_resamples=10**6
        ).pvalue
        assert sign_flips(differences) == pytest.approx(min(1.0, theirs), abs=1e-9)


def test_drawn_flips_agree_with_every_flip() -> None:
    chance = random.Random(5)
    for _ in range(20):
        differences = [chance.gauss(0.4, 1) for _ in range(EXACT_PAIRS)]
        exact = sign_flips(differences)
        drawn = sign_flips([*differences, 1e-9], draws=4000)
        assert drawn == pytest.approx(exact, abs=4 * (0.25 / 4000) ** 0.5)


def test_the_corrected_interval_is_scipys_for_the_same_resamples() -> None:
    chance = random.Random(6)
    for at in range(DATA_SETS):
        steps = chance.choice([2, 8, 1024])  # eighths and the like add up without rounding, so that ties are ties
        differences = [chance.randint(-steps, 3 * steps) ** 3 / steps for _ in range(chance.randint(8, 20))]
        theirs = scipy_stats.bootstrap((differences,), numpy.mean, n_resamples=199, method="BCa", rng=at)
        ours = corrected(list(theirs.bootstrap_distribution), differences, mean, 0.95)
        assert ours is not None
        assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-9)


def test_resamples_of_our_own_give_nearly_scipys_interval() -> None:
    chance = random.Random(8)
    for _ in range(10):
        values = [chance.expovariate(1) for _ in range(30)]
        theirs = scipy_stats.bootstrap((values,), numpy.mean, n_resamples=4000, method="BCa", rng=7)
        ours = bootstrap(values, mean, resamples=4000)
        assert ours is not None
        bounds = pytest.approx(tuple(theirs.confidence_interval), abs=0.3 * float(theirs.standard_error))
        assert (ours.low, ours.high) == bounds


def test_the_interval_of_a_ratio_ends_where_scipys_t_test_of_the_pairs_does() -> None:
    chance, bounded = random.Random(11), 0
    for _ in range(DATA_SETS):
        pairs = [(chance.expovariate(1), chance.expovariate(1) + 0.2) for _ in range(chance.randint(5, 40))]
        confidence = chance.choice([0.9, 0.95])
        interval = fieller(pairs, confidence)
        if interval is not None:
            bounded += 1
            assert interval.low <= ratio_of_totals(pairs) <= interval.high
            critical = scipy_stats.t.isf((1 - confidence) / 2, len(pairs) - 1)
            for end in (interval.low, interval.high):
                moved = numpy.array([first - end * second for first, second in pairs])
                t = moved.mean() / moved.std(ddof=1) * len(moved) ** 0.5
                assert abs(t) == pytest.approx(critical, rel=1e-9)
    assert bounded > 0.9 * DATA_SETS


@pytest.mark.parametrize("pairs", [[], [(1.0, 2.0)], [(1.0, 2.0)] * 5, [(1.0, 5.0), (1.0, -4.9), (1.0, 0.1)]])
def test_a_ratio_that_nothing_bounds_has_no_interval(pairs: list[tuple[float, float]]) -> None:
    assert fieller(pairs) is None


@pytest.mark.parametrize("sample", [[], [0.4], [0.0] * 30, [0.1] * 30])
def test_a_sample_without_spread_has_no_interval(sample: list[float]) -> None:
    assert bootstrap(sample, mean, resamples=50) is None


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [float(each % 7) for each in range(20)]
    assert bootstrap(values, mean, resamples=200, seed=3) == bootstrap(values, mean, resamples=200, seed=3)


def test_holms_p_values_are_those_of_every_set_of_comparisons_that_holds_them() -> None:
    """His method is the closed test: a comparison counts when every set it belongs to would, by Bonferroni."""
    chance = random.Random(9)
    for _ in range(DATA_SETS):
        p_values = [chance.choice([chance.random(), chance.random() / 50]) for _ in range(chance.randint(1, 5))]
        adjusted = holm(p_values)
        for at in range(len(p_values)):
            sets = [s for size in range(1, 6) for s in combinations(range(len(p_values)), size) if at in s]
            closed = max(min(1.0, len(s) * min(p_values[each] for each in s)) for s in sets)
            assert adjusted[at] == pytest.approx(closed)


def test_the_pairs_for_a_mean_are_those_that_the_t_test_needs() -> None:
    chance = random.Random(10)
    for _ in range(100):
        effect, power = chance.uniform(0.2, 1.0), chance.choice([0.8, 0.9])
        pairs = pairs_for_mean(effect, 1.0, power=power)
        assert pairs is not None
        assert _power_of_the_t_test(effect, pairs) > power - 0.01
        assert _power_of_the_t_test(effect, pairs - 2) < power


def _power_of_the_t_test(effect: float, pairs: int) -> float:
    return float(scipy_stats.nct.sf(scipy_stats.t.ppf(0.975, pairs - 1), pairs - 1, effect * pairs**0.5))


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.05), (0.2, 0.1), (0.15, 0.05), (0.4, 0.1)])
def test_the_pairs_for_shares_are_those_that_the_exact_test_needs(first: float, second: float) -> None:
    pairs = pairs_for_shares(first, second)
    assert pairs is not None
    assert _power_of_the_exact_test(first, second, pairs) == pytest.approx(0.8, abs=0.03)


def _power_of_the_exact_test(first: float, second: float, pairs: int) -> float:
    """Over how many pairs differ, and how many of those the first one wins."""
    differing = range(pairs + 1)
    chances = scipy_stats.binom.pmf(differing, pairs, first + second)
    most = [max((k for k in range(n // 2 + 1) if mcnemar(k, n - k) <= 0.05), default=-1) for n in differing]
    lost = scipy_stats.binom.cdf(most, differing, second / (first + second))
    return float(chances @ (lost + scipy_stats.binom.cdf(most, differing, first / (first + second))))


def test_where_no_difference_was_seen_no_number_of_pairs_shows_it() -> None:
    assert pairs_for_shares(0.1, 0.1) is None
    assert pairs_for_mean(0.0, 1.0) is None


def test_too_few_pairs_never_show_anything() -> None:
    assert fewest_discordant(0.05) == 6
    assert mcnemar(6, 0) < 0.05 < mcnemar(5, 0)
    assert (pairs_for_shares(1.0, 0.0) or 0) >= 6
