"""Prices: effective-dated versions and the exact arithmetic of a cost.

A rate is an integer: pico-dollars per million units. A rate may be tiered by the size of the input: then all tokens of
the request are billed at the rate of the highest tier whose threshold the input exceeds (as Google and Anthropic
bill long contexts). Source of the shapes: the providers' public price pages as collected by genai-prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keyvault.domain.ledger import Usage
from keyvault.money import UNITS_PER_PRICE, divide_half_even

Rate = tuple[tuple[int, int], ...]
"""((threshold in input tokens, pico-dollars per million), …), first threshold 0."""


def flat(pico_per_million: int) -> Rate:
    return ((0, pico_per_million),)


@dataclass(frozen=True, slots=True)
class Rates:
    """What each kind of unit costs; None: this price does not say, so the dearer known kind stands in."""

    input: Rate | None = None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    output: Rate | None = None
    audio_input: Rate | None = None
    audio_output: Rate | None = None
    images: Rate | None = None
    per_call: int | None = None
    """Pico-dollars per call."""


@dataclass(frozen=True, slots=True)
class Price:
    """One immutable version of a model's price."""

    id: int
    upstream: str | None
    """Own price of one upstream, or None for a catalogue price."""
    catalogue: str | None
    model: str
    rates: Rates
    effective_from: datetime
    source: str
    recorded_at: datetime
    note: str = ""


def _at(rate: Rate, input_tokens: int) -> int:
    chosen = rate[0][1]
    for threshold, value in rate:
        if input_tokens > threshold:
            chosen = value
    return chosen


def cost(rates: Rates, usage: Usage) -> int | None:
    """The exact cost in pico-dollars, rounded half-even once; None where a billed count or its rate is not known."""
    if usage.input is None and usage.output is None and usage.images is None:
        if rates.per_call is not None and rates.input is None and rates.output is None and rates.images is None:
            return rates.per_call
        return None
    total_input = usage.input or 0
    cached, write = usage.cached_input or 0, usage.cache_write or 0
    write_1h, audio_in = usage.cache_write_1h or 0, usage.audio_input or 0
    audio_out = usage.audio_output or 0
    plain_in = max(0, total_input - cached - write - write_1h - audio_in)
    plain_out = max(0, (usage.output or 0) - audio_out)
    lines = (
        (plain_in, rates.input),
        (cached, rates.cached_input or rates.input),
        (write, rates.cache_write or rates.input),
        (write_1h, rates.cache_write_1h or rates.cache_write or rates.input),
        (audio_in, rates.audio_input or rates.input),
        (plain_out, rates.output),
        (audio_out, rates.audio_output or rates.output),
        (usage.images or 0, rates.images if rates.images is not None else _free_if_tokens(usage)),
    )
    numerator = (rates.per_call or 0) * UNITS_PER_PRICE
    for units, rate in lines:
        if not units:
            continue
        if rate is None:
            return None
        numerator += units * _at(rate, total_input)
    return divide_half_even(numerator, UNITS_PER_PRICE)


def _free_if_tokens(usage: Usage) -> Rate | None:
    """Images that are billed as tokens have no price of their own."""
    return flat(0) if usage.output is not None else None


def charge(cost_pico: int, multiplier_ppm: int) -> int:
    """What the customer pays: cost × multiplier (in millionths), rounded half-even once."""
    if multiplier_ppm == 1_000_000:
        return cost_pico
    return divide_half_even(cost_pico * multiplier_ppm, 1_000_000)
