"""The most a request can cost, before it is sent.

No tokenizer is an upper bound for every vendor, but a token never takes less than a byte of the text; so the text's
bytes at the dearest rate of input, in whatever tier, and the cap on output at the dearest rate of output for each
choice, bound the cost. What a body's images count for, and what has no bound at all, is told by its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from keyvault.domain.prices import Rate, Rates
from keyvault.money import UNITS_PER_PRICE


@dataclass(slots=True)
class Worst:
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


def worst(rates: Rates, input_tokens: int, choices: int) -> Worst | None:
    """None where a rate that is needed is missing."""
    entered, left, per_choice = _dearest_of_each(rates)
    per_call = (rates.per_call or 0) * UNITS_PER_PRICE
    if entered is None and left is None and per_choice is None:
        return None if rates.per_call is None else Worst(per_call, 0)
    if entered is None:
        return None
    return Worst(per_call + input_tokens * entered + choices * (per_choice or 0), choices * (left or 0))


def worst_case(rates: Rates, body_bytes: int, output_cap: int | None, choices: int) -> int | None:
    """Pico-dollars, rounded up; None where there is no bound: a rate is missing, or costly output has no cap."""
    found = worst(rates, body_bytes, choices)
    return None if found is None else found.at(output_cap)


@lru_cache(maxsize=1024)
def _dearest_of_each(rates: Rates) -> tuple[int | None, int | None, int | None]:
    """The dearest rate of input, of output and of an image."""
    entered = _dearest(rates.input, rates.cached_input, rates.cache_write, rates.cache_write_1h, rates.audio_input)
    return entered, _dearest(rates.output, rates.reasoning, rates.audio_output), _dearest(rates.images)


def _dearest(*rates: Rate | None) -> int | None:
    """The highest value in any tier; None where no rate is given."""
    return max((value for rate in rates if rate is not None for _, value in rate), default=None)
