"""How often the statistics of a comparison are right: simulated comparisons whose truth is known.

    python -m tests.benchmarks.intervals --comparisons 1000

For each kind of prompts: how often the 95 % interval holds the truth, how often a difference is shown where there is
none (three models, corrected: at most 5 % of the comparisons may hold any), and how often the number of prompts that is
said to be needed shows the difference (it promises four times in five).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, log
from statistics import pstdev

from keyvault.statistics.bootstrap import bootstrap, mean
from keyvault.statistics.interval import Interval
from keyvault.statistics.pairs import mcnemar, sign_flips
from keyvault.statistics.planning import pairs_for_mean, pairs_for_shares
from keyvault.statistics.proportions import Fourfold, paired_difference
from keyvault.statistics.ratios import fieller
from opsconsole.staging.comparison.differences import of_amounts, of_preferences, of_scores
from opsconsole.view.comparison.report import Difference, Measure, Verdict

RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Coverage:
    """A kind of sample: the figure's true value, and an interval from one sample of that many prompts."""

    name: str
    truth: float
    interval: Callable[[random.Random, int], Interval | None]


def table(chance: random.Random, prompts: int, first_only: float, second_only: float, both: float) -> Fourfold:
    counts = [0, 0, 0, 0]
    for kind in chance.choices(
        range(4), (both, first_only, second_only, 1 - both - first_only - second_only), k=prompts
    ):
        counts[kind] += 1
    return Fourfold(*counts)


def amounts(chance: random.Random) -> tuple[float, float]:
    """Two models on one prompt: what the prompt asks for is shared, and both have a long tail."""
    shared = chance.gauss(0, 0.6)
    return 1.3 * exp(shared + chance.gauss(0, 0.4)), exp(shared + chance.gauss(0, 0.4))


def log_ratio(chance: random.Random) -> float:
    first, second = amounts(chance)
    return log(first / second)


def preference(chance: random.Random, lean: float = 0.2) -> float:
    return chance.choices((1.0, 0.5, 0.0, -0.5, -1.0), (0.3 + lean / 2, 0.1, 0.2, 0.1, 0.3 - lean / 2))[0]


def resampled(sample: list[float]) -> Interval | None:
    return bootstrap(sample, mean, resamples=RESAMPLES)


COVERAGES = [
    Coverage("right answers, 90 % against 75 %", 0.15, lambda c, n: paired_difference(table(c, n, 0.20, 0.05, 0.70))),
    Coverage("right answers, both 50 %", 0.0, lambda c, n: paired_difference(table(c, n, 0.15, 0.15, 0.35))),
    Coverage("scores, mean difference 0.1", 0.1, lambda c, n: resampled([c.gauss(0.1, 0.4) for _ in range(n)])),
    Coverage("preferences, leaning by 0.2", 0.2, lambda c, n: resampled([preference(c) for _ in range(n)])),
    Coverage("times, typically 1.3 times as long", log(1.3), lambda c, n: resampled([log_ratio(c) for _ in range(n)])),
    Coverage("costs, 1.3 times as much", 1.3, lambda c, n: fieller([amounts(c) for _ in range(n)])),
]


def covered(kind: Coverage, prompts: int, comparisons: int) -> float:
    chance, held = random.Random(f"{kind.name} {prompts}"), 0
    for _ in range(comparisons):
        interval = kind.interval(chance, prompts)
        held += interval is not None and kind.truth in interval
    return held / comparisons


def scored(chance: random.Random) -> list[Difference]:
    """Three models that are right as often as one another."""
    hard = [chance.random() for _ in range(40)]
    scores = {name: {str(at): float(chance.random() < each) for at, each in enumerate(hard)} for name in "abc"}
    return of_scores(Measure.EXPECTED, scores, {})


def preferred(chance: random.Random) -> list[Difference]:
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    told = {pair: {str(at): preference(chance, 0.0) for at in range(40)} for pair in pairs}
    return of_preferences(Measure.JUDGE, told, {})


def timed(chance: random.Random) -> list[Difference]:
    shared = [chance.gauss(0, 0.6) for _ in range(40)]
    told = {n: {str(at): exp(each + chance.gauss(0, 0.4)) for at, each in enumerate(shared)} for n in "abc"}
    return of_amounts(Measure.TOTAL, told)


def false_alarms(draw: Callable[[random.Random], list[Difference]], comparisons: int) -> float:
    chance = random.Random(draw.__name__)
    drawn = (draw(chance) for _ in range(comparisons))
    return sum(any(each.verdict is not Verdict.UNCLEAR for each in told) for told in drawn) / comparisons


def powers(comparisons: int) -> Iterator[tuple[str, int, float]]:
    for first_only, second_only in ((0.20, 0.05), (0.15, 0.05), (0.25, 0.15)):
        prompts = pairs_for_shares(first_only, second_only) or 0
        chance = random.Random(prompts)
        tables = (table(chance, prompts, first_only, second_only, 0.5) for _ in range(comparisons))
        yield (
            f"right answers, {first_only - second_only:.0%} apart",
            prompts,
            sum(mcnemar(each.first, each.second) <= 0.05 for each in tables) / comparisons,
        )
    chance = random.Random(1)
    sample = [preference(chance) for _ in range(100_000)]
    prompts = pairs_for_mean(mean(sample), pstdev(sample)) or 0
    shown = sum(
        sign_flips([preference(chance) for _ in range(prompts)], draws=1000) <= 0.05 for _ in range(comparisons)
    )
    yield "preferences, leaning by 0.2", prompts, shown / comparisons


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=1000)
    comparisons = parser.parse_args().comparisons
    sizes = (20, 50, 100)
    print(f"{'95 % intervals that hold the truth':40}" + "".join(f"{f'{n} prompts':>14}" for n in sizes))
    for kind in COVERAGES:
        print(f"{kind.name:40}" + "".join(f"{covered(kind, n, comparisons):14.1%}" for n in sizes))
    print(f"\n{'false alarms among three equal models':40}{'40 prompts':>14}")
    for draw in (scored, preferred, timed):
        print(f"{draw.__name__:40}{false_alarms(draw, max(1, comparisons // 4)):14.1%}")
    print(f"\n{'shown with the prompts said to be needed':40}{'prompts':>14}{'shown':>14}")
    for name, prompts, shown in powers(comparisons):
        print(f"{name:40}{prompts:14}{shown:14.1%}")
    values = [random.Random(at).gauss(0.1, 1) for at in range(50)]
    began = time.perf_counter()
    bootstrap(values, mean)
    print(f"\none interval of 50 prompts, 10,000 resamples: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
