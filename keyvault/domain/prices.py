"""Prices: effective-dated versions and the exact arithmetic of a cost.

A rate is an integer: pico-dollars per million units. A rate may be tiered by the size of the input: then all tokens of
the request are billed at the rate of the highest tier whose threshold the input exceeds (as Google and Anthropic
bill long contexts). Source of the shapes: the providers' public price pages as collected by genai-prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keyvault.domain.ledger import Usage
from keyvault.money import UNITS_PER_PRICE, divide_half_even

BATCH: Final = "@batch"
"""Behind a model's name: its price in batches."""

BATCH_CLAUSE: Final = "batch"
"""Kind of a clause that matches such names: what it holds matches the name before `@batch`."""

Rate = tuple[tuple[int, int], ...]
"""((threshold in input tokens, pico-dollars per million), …), first threshold 0."""


def flat(pico_per_million: int) -> Rate:
    return ((0, pico_per_million),)


@dataclass(frozen=True, slots=True)
class Rates:
    """What each kind of unit costs. None: this price does not bill the kind apart.

    Cached and written input, reasoning and audio are then billed as plain input or output. Input or output itself
    without a rate, where there are such tokens, makes the cost unknown, unless calls are all this price bills.
    """

    input: Rate | None = None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    output: Rate | None = None
    reasoning: Rate | None = None
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
    daily: tuple[int, int] | None = None
    """Applies only from one minute of the UTC day up to another (which may be on the next day), such as off-peak."""


def rate_at(rate: Rate, input_tokens: int) -> int:
    """Pico-dollars per million, at the tier that an input of this size falls into."""
    chosen = rate[0][1]
    for threshold, value in rate[1:]:
        if input_tokens > threshold:
            chosen = value
    return chosen


def cost(rates: Rates, usage: Usage) -> int | None:
    """The exact cost in pico-dollars, rounded half-even once; None where a billed count or its rate is not known."""
    entered, left, inward, outward = usage.input, usage.output, rates.input, rates.output
    if entered is not None and left is not None and inward is not None and outward is not None:
        parts = usage.cached_input or usage.cache_write or usage.cache_write_1h or usage.reasoning
        if not (parts or usage.audio_input or usage.audio_output or rates.per_call):  # as nearly always: two lines
            first = inward[0][1] if len(inward) == 1 else rate_at(inward, entered)
            second = outward[0][1] if len(outward) == 1 else rate_at(outward, entered)
            return divide_half_even(entered * first + left * second, UNITS_PER_PRICE)
    lines = _lines(rates, usage)
    if lines is None:
        return None
    numerator = (rates.per_call or 0) * UNITS_PER_PRICE
    for units, rate in lines:
        if units:
            if rate is None:
                return None
            numerator += units * rate_at(rate, usage.input or 0)
    return divide_half_even(numerator, UNITS_PER_PRICE)


_Lines = list[tuple[int, Rate | None]]


def _lines(rates: Rates, usage: Usage) -> _Lines | None:
    """The billed units, each kind with its rate; None where one of them is not known."""
    if rates.images is not None and usage.images is not None and usage.output is None:
        return [(usage.images, rates.images), *(_input_lines(rates, usage) or ())]
    if rates.input is None and rates.output is None:
        return [] if rates.per_call is not None else None
    entered, left = _input_lines(rates, usage), _output_lines(rates, usage)
    return None if entered is None or left is None else entered + left


def _input_lines(rates: Rates, usage: Usage) -> _Lines | None:
    if usage.input is None:
        return None if _costs(rates.input) else []
    cached, write, write_1h = usage.cached_input or 0, usage.cache_write or 0, usage.cache_write_1h or 0
    audio = (usage.audio_input or 0) if rates.audio_input is not None else 0
    if audio and cached and rates.cached_input is not None:
        return None  # how much of the audio was cached is not told
    plain = usage.input - cached - write - write_1h - audio
    if plain < 0:
        return None  # parts larger than the whole: not a count to bill from
    if plain == usage.input:
        return [(plain, rates.input)]
    return [
        (plain, rates.input),
        (cached, rates.cached_input or rates.input),
        (write, rates.cache_write or rates.input),
        (write_1h, rates.cache_write_1h or rates.cache_write or rates.input),
        (audio, rates.audio_input),
    ]


def _output_lines(rates: Rates, usage: Usage) -> _Lines | None:
    if usage.output is None:
        return None if _costs(rates.output) else []
    audio = (usage.audio_output or 0) if rates.audio_output is not None else 0
    reasoning = (usage.reasoning or 0) if rates.reasoning is not None else 0
    plain = usage.output - audio - reasoning
    if plain < 0:
        return None
    if plain == usage.output:
        return [(plain, rates.output)]
    return [(plain, rates.output), (reasoning, rates.reasoning), (audio, rates.audio_output)]


def _costs(rate: Rate | None) -> bool:
    return rate is not None and any(value for _, value in rate)


def charge(cost_pico: int, multiplier_ppm: int) -> int:
    """What the customer pays: cost × multiplier (in millionths), rounded half-even once."""
    if multiplier_ppm == 1_000_000:
        return cost_pico
    return divide_half_even(cost_pico * multiplier_ppm, 1_000_000)
