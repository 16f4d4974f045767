"""The most a request can cost, before it is sent.

No tokenizer is an upper bound for every vendor, but a token never takes less than a byte of the body; so the body's
bytes at the dearest rate of input, and the cap on output at the dearest rate of output for each choice, bound the cost.
Content that the provider fetches itself (an image by URL) is not in the body and not in the bound.
"""

from __future__ import annotations

from functools import lru_cache

from keyvault.domain.prices import Rate, Rates
from keyvault.money import UNITS_PER_PRICE


def worst_case(rates: Rates, body_bytes: int, output_cap: int | None, choices: int) -> int | None:
    """Pico-dollars, rounded up; None where there is no bound: a rate is missing, or costly output has no cap."""
    entered, left, per_choice = _dearest_of_each(rates)
    if entered is None and left is None and per_choice is None:
        return rates.per_call
    if entered is None or (left and output_cap is None):
        return None
    units = body_bytes * entered + choices * ((output_cap or 0) * (left or 0) + (per_choice or 0))
    return -(-units // UNITS_PER_PRICE) + (rates.per_call or 0)


@lru_cache(maxsize=1024)
def _dearest_of_each(rates: Rates) -> tuple[int | None, int | None, int | None]:
    """The dearest rate of input, of output and of an image."""
    entered = _dearest(rates.input, rates.cached_input, rates.cache_write, rates.cache_write_1h, rates.audio_input)
    return entered, _dearest(rates.output, rates.reasoning, rates.audio_output), _dearest(rates.images)


def _dearest(*rates: Rate | None) -> int | None:
    """The highest value in any tier; None where no rate is given."""
    return max((value for rate in rates if rate is not None for _, value in rate), default=None)
