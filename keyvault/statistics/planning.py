"""How many pairs a comparison needs until it shows a difference of a given size, most of the time.

For shares: Connor, Sample Size for Testing Differences in Proportions for the Paired-Sample Design, Biometrics 43,
1987, corrected for the exact test as Casagrande, Pike and Smith (Biometrics 34, 1978) and Fleiss do. For measures: the
normal approximation with Guenther's correction for the estimated spread (The American Statistician 35, 1981). Both are
two-sided; `power` is how often a difference of that size would be shown.
"""

from math import ceil, sqrt

from keyvault.statistics.normal import critical, quantile


def pairs_for_shares(
    first_only: float, second_only: float, *, power: float = 0.8, significance: float = 0.05
) -> int | None:
    """Pairs until McNemar's test shows it, by the shares of pairs that only one of the two passes; None if equal."""
    differ, difference = first_only + second_only, abs(first_only - second_only)
    if not difference:
        return None
    spread = sqrt(max(0.0, differ - difference**2))
    reach = critical(1 - significance) * sqrt(differ) + quantile(power) * spread
    needed = (reach / difference) ** 2
    exactly = needed / 4 * (1 + sqrt(1 + 2 / (needed * difference))) ** 2
    return max(ceil(exactly), fewest_discordant(significance))


def pairs_for_mean(mean: float, deviation: float, *, power: float = 0.8, significance: float = 0.05) -> int | None:
    """Pairs until a difference of this mean and standard deviation is shown; None if its mean is zero."""
    if not mean:
        return None
    z = critical(1 - significance)
    needed = ((z + quantile(power)) * deviation / mean) ** 2 + z**2 / 2
    return max(ceil(needed), fewest_discordant(significance))


def fewest_discordant(significance: float = 0.05) -> int:
    """The pairs below which no exact test of pairs can show anything, even if all of them point the same way."""
    pairs = 1
    while 2 / 2**pairs > significance:
        pairs += 1
    return pairs


def smallest_shown(deviation: float, pairs: int, *, power: float = 0.8, significance: float = 0.05) -> float | None:
    """The difference of means that so many pairs show with this power, by the deviation seen; None if there is none."""
    if not deviation or not pairs:
        return None
    return (critical(1 - significance) + quantile(power)) * deviation / sqrt(pairs)
