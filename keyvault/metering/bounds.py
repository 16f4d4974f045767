"""The most a request can cost, before it is sent.

No tokenizer is an upper bound for every vendor, but a token never takes less than a byte of the text; so the text's
bytes at the dearest rate of input, and the cap on output at the dearest rate of output for each choice, bound the cost.
Tiers that begin above the bytes count for nothing, nor do writes to a cache that the body does not ask for. What a
body's images count for, and what has no bound at all, is told by its shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec import Struct

from keyvault.domain.prices import Rate, Rates
from keyvault.money import UNITS_PER_PRICE


class Worst(Struct, frozen=True, gc=False):
    """The most that a call can cost, as a line over its cap on output."""

    fixed: int
    """Of the input, of the call and of the images made: pico-dollars times `UNITS_PER_PRICE`."""
    per_token: int
    """Of one more token of the cap, for all choices together; 0: output costs nothing."""

    def at(self, cap: int | None) -> int | None:
        """Pico-dollars, rounded up; None where output costs something and has no cap."""
        if cap is None and self.per_token:
            return None
        return -(-(self.fixed + self.per_token * (cap or 0)) // UNITS_PER_PRICE)

    def buys(self, pico: int) -> int | None:
        """The highest cap that so much money covers, negative where it does not even cover the rest; None: any."""
        left = pico * UNITS_PER_PRICE - self.fixed
        if self.per_token and left >= 0:
            return left // self.per_token
        return None if left >= 0 else -1


class Scale(Struct):
    """What of a price bounds a cost: its dearest rates, by the size of the input."""

    per_call: int
    """Pico-dollars times `UNITS_PER_PRICE`."""
    steps: Sequence[_Step]
    """From the highest threshold down to none; most prices have one."""

    def worst(self, input_tokens: int, choices: int) -> Worst:
        for step in self.steps:
            if input_tokens > step.threshold:
                break
        return Worst(self.per_call + input_tokens * step.input + choices * step.image, choices * step.output)


def worst(rates: Rates, input_tokens: int, choices: int, *, writes_cache: bool = True) -> Worst | None:
    """None where a rate that is needed is missing: a price by the call or the image needs no other."""
    found = scale(rates, writes_cache)
    return None if found is None else found.worst(input_tokens, choices)


def worst_case(rates: Rates, body_bytes: int, output_cap: int | None, choices: int) -> int | None:
    """Pico-dollars, rounded up; None where there is no bound: a rate is missing, or costly output has no cap."""
    found = worst(rates, body_bytes, choices)
    return None if found is None else found.at(output_cap)


class _Step(Struct):
    """The dearest rates that an input of more than `threshold` tokens may meet, in its tier or a lower one."""

    threshold: int
    input: int
    output: int
    image: int


@lru_cache(maxsize=1024)
def scale(rates: Rates, writes_cache: bool) -> Scale | None:
    """None where a rate that is needed is missing."""
    if rates.input is None and rates.images is None and rates.per_call is None:
        return None
    return Scale((rates.per_call or 0) * UNITS_PER_PRICE, _steps(rates, writes_cache))


def _steps(rates: Rates, writes_cache: bool) -> Sequence[_Step]:
    entering = [rates.input, rates.cached_input, rates.audio_input]
    if writes_cache:
        entering += [rates.cache_write, rates.cache_write_1h]
    kinds = (entering, [rates.output, rates.reasoning, rates.audio_output], [rates.images])
    thresholds = {0} | {threshold for kind in kinds for rate in kind for threshold, _ in rate or ()}
    return tuple([_Step(each, *[_dearest(kind, each) for kind in kinds]) for each in sorted(thresholds, reverse=True)])


def _dearest(rates: Iterable[Rate | None], threshold: int) -> int:
    """The highest value in any tier up to this one; 0 where no rate is given."""
    return max((value for rate in rates for above, value in rate or () if above <= threshold), default=0)
