"""Statements without a database: cents that add up, months of a time zone, numbers without gaps, forms."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyvault.clock import from_ms
from keyvault.domain.statements import (
    PICO_PER_CENT,
    Adjustment,
    BalanceMoves,
    CreditNote,
    Line,
    Month,
    drawn_up,
    in_cents,
    missing_numbers,
    next_number,
    parse_cents,
    read,
    written,
)
from keyvault.errors import Tampered, UsageError
from keyvault.money import divide_half_even
from opsconsole.view.paper import as_html, as_markdown, as_text
from opsconsole.view.statement import forms
from opsconsole.view.statement.paper import paper

CENT = PICO_PER_CENT
AMOUNTS = st.lists(st.integers(-(10**15), 10**15) | st.integers(-3, 3).map(lambda n: n * CENT // 2), max_size=30)
ISSUED = 1_793_600_000_000

STATEMENT = drawn_up(
    Month.of("2026-10", "Europe/Berlin"),
    "acme",
    ISSUED,
    [Line("acme/web", "=cmd()", 3, 1000, 400, 50, 0, CENT // 2), Line("acme/web", "b|c", 1, 0, 0, 0, 1, CENT // 3)],
    [Adjustment("acme/web", "m", "@repricing", -CENT // 4)],
    [BalanceMoves("customer:acme", 0, 10 * CENT, 0, 0, CENT // 2, 0, 10 * CENT - CENT // 2)],
    doubt_pico=5,
    pending=2,
)


@given(AMOUNTS)
def test_cents_sum_to_the_total_and_each_is_less_than_a_cent_away(parts: list[int]) -> None:
    cents, total = in_cents(parts)
    assert sum(cents) == total == divide_half_even(sum(parts), CENT)
    assert all(abs(made * CENT - part) < CENT for made, part in zip(cents, parts, strict=True))
    assert all(made * CENT == part for made, part in zip(cents, parts, strict=True) if part % CENT == 0)


@given(AMOUNTS, st.randoms())
def test_who_lost_more_is_never_rounded_down_before_who_lost_less(parts: list[int], random: object) -> None:
    cents, _ = in_cents(parts)
    raised = [(part % CENT, -at) for at, part in enumerate(parts) if cents[at] > part // CENT]
    others = [(part % CENT, -at) for at, part in enumerate(parts) if cents[at] == part // CENT]
    assert not raised or not others or min(raised) > max(others)


@pytest.mark.parametrize(
    ("parts", "cents"),
    [
        ([], []),
        ([CENT // 2], [0]),  # half-even
        ([3 * CENT // 2], [2]),
        ([CENT // 2, CENT // 2], [1, 0]),
        ([CENT // 3] * 3, [1, 0, 0]),
        ([-CENT // 2, CENT // 2], [0, 0]),
        ([100 * CENT, CENT // 4], [100, 0]),
    ],
)
def test_worked_examples_of_rounding(parts: list[int], cents: list[int]) -> None:
    assert in_cents(parts)[0] == cents


@pytest.mark.parametrize(
    ("month", "zone", "since", "hours"),
    [
        ("2026-10", "Europe/Berlin", "2026-09-30T22:00:00+00:00", 31 * 24 + 1),  # summer ends: an hour more
        ("2026-03", "Europe/Berlin", "2026-02-28T23:00:00+00:00", 31 * 24 - 1),
        ("2026-10", "UTC", "2026-10-01T00:00:00+00:00", 31 * 24),
        ("2026-12", "Asia/Kathmandu", "2026-11-30T18:15:00+00:00", 31 * 24),
        ("2028-02", "UTC", "2028-02-01T00:00:00+00:00", 29 * 24),
    ],
)
def test_a_month_is_as_long_as_in_its_zone(month: str, zone: str, since: str, hours: int) -> None:
    found = Month.of(month, zone)
    assert from_ms(found.first_ms).isoformat() == since
    assert (found.last_ms - found.first_ms) / 3_600_000 == hours


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "october", "", "2026-10-01"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a month"):
        Month.of(text, "UTC")


def test_numbers_follow_each_other_within_the_year_of_issue() -> None:
    new_year = int(datetime(2026, 12, 31, 23, 30, tzinfo=UTC).timestamp() * 1000)
    assert next_number([], new_year, "UTC") == "2026-0001"
    assert next_number(["2026-0001", "2026-0010", "2025-0044"], new_year, "UTC") == "2026-0011"
    assert next_number(["2026-9999"], new_year, "UTC") == "2026-10000"
    assert next_number(["2026-0001"], new_year, "Europe/Berlin") == "2027-0001"
    assert missing_numbers(["2026-0001", "2026-0004", "2027-0002"]) == ["2026-0002", "2026-0003", "2027-0001"]


@pytest.mark.parametrize("text", ["0", "0.001", "-1", "x", "1.005"])
def test_a_credit_is_some_whole_cents(text: str) -> None:
    with pytest.raises(UsageError):
        parse_cents(text)
    assert parse_cents("12.50") == 1250


def test_what_is_due_is_what_balances_did_not_pay() -> None:
    assert (STATEMENT.total_cents, STATEMENT.prepaid_cents, STATEMENT.due_cents) == (1, 1, 0)
    lines, adjustments = [x.cents for x in STATEMENT.lines], [x.cents for x in STATEMENT.adjustments]
    assert sum(lines) + sum(adjustments) == STATEMENT.total_cents


def test_a_document_is_read_as_it_was_written() -> None:
    note = CreditNote("2026-0002", "2026-0001", "acme", "UTC", ISSUED, 5, "goodwill", "customer:acme")
    for document in (replace(STATEMENT, number="2026-0001"), note):
        assert read(written(document)) == document
    for bad in ("", "[]", "{}", '{"kind":"statement"}', '{"kind":"credit_note","number":1}', "null"):
        with pytest.raises(Tampered):
            read(bad)


def test_a_spreadsheet_gets_lines_that_add_up_and_no_formula() -> None:
    rows = list(csv.DictReader(io.StringIO(forms.as_csv(STATEMENT))))
    assert [row["model"] for row in rows] == ["'=cmd()", "b|c", "m"]
    assert rows[2]["reason"] == "'@repricing"
    assert [row["amount"] for row in rows] == ["0.01", "0.00", "0.00"]
    assert rows[0]["exact"] == "0.005"


def test_a_program_gets_exact_amounts_and_nothing_unknown_as_zero() -> None:
    told = json.loads(forms.as_json(forms.document(STATEMENT)))
    assert (told["number"], told["total"], told["exact_total"], told["unknown_charges"]) == (
        None,
        "0.01",
        "0.005833333333",
        1,
    )
    assert told["balances"][0]["closing"] == "0.095"


@pytest.mark.parametrize("form", [as_text, as_markdown, as_html])
def test_a_page_says_all_that_has_to_be_said(form: object) -> None:
    assert callable(form)
    note = CreditNote("2026-0002", "2026-0001", "acme", "UTC", ISSUED, 5, "<b>sorry</b>")
    page = form(paper(replace(STATEMENT, number="2026-0001"), [note], "sealed"))
    for text in ("2026-0001", "Europe/Berlin", "0.095", "cost what nobody knows", "in doubt", "2 pieces", "0.05"):
        assert text in page
    assert "<b>" not in page or form is as_text
    assert "| b|c |" not in page
