"""Money as integers: pico-dollars (10⁻¹² USD).

Prices are integers too: pico-dollars per million units (tokens, images, calls), which holds every price with
up to twelve decimals per million exactly. A cost is summed exactly and rounded half-even once.
"""

from __future__ import annotations

import re
from typing import Final

from keyvault.errors import UsageError

PICO_PER_USD: Final = 10**12
UNITS_PER_PRICE: Final = 10**6
CURRENCY: Final = "USD"

_AMOUNT = re.compile(r"(?P<whole>[0-9]{1,12})(?:\.(?P<fraction>[0-9]{1,12}))?\Z")


def parse_usd(text: str) -> int:
    """Pico-dollars of a plain non-negative decimal such as `2.50`; at most 12 digits either side, else `UsageError`."""
    match = _AMOUNT.match(text.strip().removeprefix("$"))
    if not match:
        raise UsageError(f"not an amount in dollars: {text[:40]!r}", hint="write it like 2.50")
    return int(match["whole"]) * PICO_PER_USD + int((match["fraction"] or "").ljust(12, "0"))


def parse_signed_usd(text: str) -> int:
    """Pico-dollars of a plain decimal of either sign, such as `-2.50`, else `UsageError`."""
    text = text.strip()
    return -parse_usd(text[1:]) if text[:1] == "-" else parse_usd(text.removeprefix("+"))


def format_usd(pico: int) -> str:
    """The exact decimal text of an amount, without exponent or trailing zeros: 4_120_000_000 → `0.00412`."""
    sign = "-" if pico < 0 else ""
    whole, fraction = divmod(abs(pico), PICO_PER_USD)
    return f"{sign}{whole}.{fraction:012d}".rstrip("0").rstrip(".")


def divide_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded to the nearest integer, ties to even. `denominator` must be positive."""
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient
