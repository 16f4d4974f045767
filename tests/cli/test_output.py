"""How documents are written: each format, for terminals and for programs."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from opsconsole.cli.output import Column, Details, Format, Listing, Look, render
from opsconsole.cli.text import Amount, cell, harmless, relative
from opsconsole.view.sheet import guarded
from opsconsole.view.sheet import lines as sheet_lines

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
ROWS = [
    {"name": "ci-bot", "requests": 1204, "cost": Amount(4_120_000_000), "used_at": NOW - timedelta(minutes=4)},
    {"name": "b", "requests": 3, "cost": None, "used_at": None},
]
COLUMNS = [Column("name"), Column("requests"), Column("cost", "COST $"), Column("used_at", "LAST USED")]
LISTING = Listing(
    "keys", ROWS, COLUMNS, extra={"currency": "USD"}, total={"requests": 1207, "cost": Amount(5 * 10**12)}
)


def test_a_pipe_gets_aligned_columns_with_absolute_times_and_exact_money() -> None:
    assert render(LISTING, Format.TABLE) == (
        "NAME    REQUESTS   COST $  LAST USED\n"
        "ci-bot      1204  0.00412  2026-10-01T11:56:00.000Z\n"
        "b              3        –  –\n"
        "total       1207        5\n"
    )


def test_a_terminal_gets_relative_times_grouped_digits_and_rounded_money() -> None:
    assert render(LISTING, Format.TABLE, Look(now=NOW)) == (
        "NAME    REQUESTS    COST $  LAST USED\n"
        "ci-bot     1,204  0.004120  4 min ago\n"
        "b              3         –  –\n"
        "total      1,207  5.000000\n"
    )


def test_a_narrow_terminal_cuts_the_widest_column_and_a_pipe_none() -> None:
    long = Listing("keys", [{"name": "x" * 60, "url": "y" * 30}], [Column("name"), Column("url")])
    assert all(len(line) <= 40 for line in render(long, Format.TABLE, Look(now=NOW, width=40)).splitlines())
    assert "…" in render(long, Format.TABLE, Look(now=NOW, width=40))
    assert "x" * 60 in render(long, Format.TABLE)


def test_json_is_one_document_with_exact_money_and_utc_times() -> None:
    document = json.loads(render(LISTING, Format.JSON))
    assert list(document) == ["currency", "keys", "total"]
    assert document["keys"][0] == {
        "name": "ci-bot",
        "requests": 1204,
        "cost": "0.00412",
        "used_at": "2026-10-01T11:56:00.000Z",
    }
    assert document["keys"][1]["cost"] is None


def test_json_lines_csv_and_names() -> None:
    assert [json.loads(line)["name"] for line in render(LISTING, Format.JSONL).splitlines()] == ["ci-bot", "b"]
    table = list(csv.reader(io.StringIO(render(LISTING, Format.CSV))))
    assert table[0] == ["name", "requests", "cost", "used_at"]
    assert table[2] == ["b", "3", "", ""]
    assert render(LISTING, Format.NAME) == "ci-bot\nb\n"


def test_an_empty_list_is_empty_everywhere_but_in_json() -> None:
    empty = Listing("keys", [], COLUMNS)
    assert render(empty, Format.TABLE) == render(empty, Format.NAME) == render(empty, Format.JSONL) == ""
    assert json.loads(render(empty, Format.JSON)) == {"keys": []}
    assert render(empty, Format.CSV) == "name,requests,cost,used_at\n"


def test_one_thing_is_shown_field_by_field_with_what_is_inside_below() -> None:
    inner = Listing("generations", [{"generation": 1}], [Column("generation")])
    shown = render(
        Details({"id": "x1", "name": "bot", "on": True}, omit=frozenset({"id"}), inner=[inner]), Format.TABLE
    )
    assert shown == "name  bot\non    yes\n\ngenerations\nGENERATION\n         1\n"
    whole = json.loads(render(Details({"id": "x1"}, inner=[inner]), Format.JSON))
    assert whole == {"id": "x1", "generations": [{"generation": 1}]}


HOSTILE = "\x1b[31mred\x07\u202eevil\nline\u200b"


@pytest.mark.parametrize("form", [Format.TABLE, Format.CSV, Format.NAME, Format.JSON, Format.JSONL])
def test_hostile_text_can_neither_move_the_cursor_nor_reorder_the_line(form: Format) -> None:
    text = render(Listing("keys", [{"name": HOSTILE}], [Column("name")]), form)
    assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(text)
    assert "red" in text


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "@x", "-x", "  =1+1", "\uff1d1+1"])
def test_a_spreadsheet_runs_no_formula(text: str) -> None:
    assert guarded(text) == f"'{text}"
    [[name]] = list(csv.reader(io.StringIO(render(Listing("keys", [{"name": text}], [Column("name")]), Format.CSV))))[
        1:
    ]
    assert name == f"'{text}"


@pytest.mark.parametrize("text", ["-1.5", "0.000000000001", "acme", "", "a=b"])
def test_what_runs_as_nothing_is_left_as_it_is(text: str) -> None:
    assert guarded(text) == text


def test_a_file_for_spreadsheets_is_quoted_and_ends_its_lines_as_the_standard_says() -> None:
    assert sheet_lines([["name", "n"], ['a "b", c', None]]) == 'name,n\r\n"a ""b"", c",\r\n'


def test_letters_of_all_languages_stay_as_they_are() -> None:
    assert harmless("grüße 漢字") == "grüße 漢字"


def test_an_amount_too_small_to_show_is_not_shown_as_nothing() -> None:
    assert Amount(1).rounded() == "<0.000001"
    assert Amount(0).rounded() == "0.000000"
    assert str(Amount(1)) == "0.000000000001"
    assert Amount(1_500_000_000_000, at_least=True).rounded() == "≥ 1.500000"
    assert Amount(1, at_least=True).rounded() == "≥ 0.000000"
    assert Amount(-1_500_000_000_000).rounded() == "-1.500000"


@pytest.mark.parametrize(
    ("delta", "text"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=-5), "5 s ago"),
        (timedelta(minutes=-90), "1 h ago"),
        (timedelta(days=-9), "9 d ago"),
        (timedelta(hours=23), "in 23 h"),
    ],
)
def test_relative_times(delta: timedelta, text: str) -> None:
    assert relative(NOW + delta, NOW) == text


def test_what_is_unknown_is_a_dash_and_never_zero() -> None:
    assert cell(None) == "–"
    assert cell(0) == "0"
    assert cell("") == "–"
