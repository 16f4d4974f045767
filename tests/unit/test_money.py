"""Money: exact in, exact out, rounded half-even once."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.errors import UsageError
from keyvault.money import PICO_PER_USD, divide_half_even, format_usd, parse_usd


@pytest.mark.parametrize(
    ("text", "pico"),
    [
        ("0", 0),
        ("10", 10 * PICO_PER_USD),
        ("2.50", 2_500_000_000_000),
        ("$0.000000000001", 1),
        (" 1.5 ", 1_500_000_000_000),
    ],
)
def test_amounts_are_read_exactly(text: str, pico: int) -> None:
    assert parse_usd(text) == pico


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", "٣", "nan", "0.0000000000001", "1" * 13, ".5", "5."])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not an amount"):
        parse_usd(text)


@given(st.integers(-(10**24), 10**24))
def test_formatting_is_exact_and_without_exponent(pico: int) -> None:
    text = format_usd(pico)
    assert "e" not in text.lower()
    assert Decimal(text) * PICO_PER_USD == pico


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_division_rounds_half_even(numerator: int, denominator: int) -> None:
    import decimal

    with decimal.localcontext(prec=80):
        expected = (Decimal(numerator) / Decimal(denominator)).to_integral_value(ROUND_HALF_EVEN)
        assert divide_half_even(numerator, denominator) == int(expected)
