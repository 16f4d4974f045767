"""How the console writes numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from opsconsole.view import numbers
from opsconsole.view.text import ASCII

DOLLAR = 10**12


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0"), (0.004, "<0.01"), (0.03, "0.03"), (9.994, "9.99"), (42.1, "42.1"), (999.4, "999"),
     (999.6, "1.00 k"), (18_240, "18.2 k"), (3_246_200, "3.25 M"), (7e9, "7.00 G"), (2.5e13, "25.0 T")],
)  # fmt: skip
def test_short_numbers_have_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert numbers.short(value) == text


def test_a_fixed_column_never_reads_zero_for_something() -> None:
    assert [numbers.fixed(value, 1) for value in (0, 0.01, 0.05, 812.44, None)] == ["0.0", "<0.1", "0.1", "812.4", "–"]


def test_unknown_is_a_dash_and_not_zero() -> None:
    unknown = [
        numbers.count(None),
        numbers.percent(None),
        numbers.latency(None),
        numbers.money(None),
        numbers.dollars(None),
    ]
    assert unknown == ["–"] * 5
    assert numbers.count(None, ASCII) == "-"


def test_money_says_when_a_part_of_it_is_not_known() -> None:
    assert numbers.money(round(184.22 * DOLLAR)) == "$ 184.22"
    assert numbers.money(round(184.22 * DOLLAR), unpriced=3) == "≥ $ 184.22"
    assert numbers.money(0, unpriced=3) == "–"
    assert numbers.money(0) == "$ 0.00"
    assert numbers.money(DOLLAR // 1000) == "$ 0.0010"
    assert numbers.money(12_345 * DOLLAR) == "$ 12,345"
    assert numbers.rough_money(round(189.84 * DOLLAR)) == "$ 190"


def test_shares_and_latencies_change_their_unit_with_their_size() -> None:
    assert [numbers.percent(share) for share in (0, 0.0002, 0.004, 0.61, 1)] == [
        "0.0 %",
        "<0.1 %",
        "0.4 %",
        "61 %",
        "100 %",
    ]
    assert [numbers.latency(ms) for ms in (0.4, 310, 999.4, 1_240, 61_000)] == [
        "0 ms",
        "310 ms",
        "999 ms",
        "1.2 s",
        "61.0 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0.0 s"), (0.4, "0.4 s"), (12, "12 s"), (240, "4 min"), (10_800, "3 h"), (777_600, "9 days")],
)
def test_a_span_of_time_reads_in_its_largest_unit(seconds: float, text: str) -> None:
    assert numbers.duration(timedelta(seconds=seconds)) == text


def test_a_moment_to_come_is_told_from_one_that_has() -> None:
    now = datetime(2026, 10, 1, tzinfo=UTC)
    assert numbers.until(now + timedelta(hours=3), now) == "in 3 h"
    assert numbers.until(now, now) == "now"


def test_a_column_shows_fewer_decimals_the_larger_its_numbers() -> None:
    assert [numbers.decimals_for(largest) for largest in (0, 4.1, 184.2, 12_345.6, 9_999_999)] == [4, 4, 3, 1, 0]
