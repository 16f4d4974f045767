"""Rows of the Live table: filter, order, cut, columns that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opsconsole.view import layout
from opsconsole.view.filters import Filter
from opsconsole.view.live import columns, rows
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion, Row
from opsconsole.view.sums import Sums
from opsconsole.view.table import Sort, Table
from opsconsole.view.text import Tone
from tests.tui import examples


def written(table: Table, row: int, column: str) -> str:
    at = [shown.id for shown in table.columns].index(column)
    return table.rows[row].cells[at].text


def names(table: Table) -> list[str]:
    return [row.key[0] for row in table.rows]


def test_the_dearest_row_comes_first_and_one_without_a_price_last() -> None:
    table = rows.table(examples.busy())
    assert names(table)[0] == "support-bot"
    assert names(table)[-1] == "mobile-app"
    assert written(table, -1, "cost") == "–"


def test_rows_of_unknown_value_stay_last_when_the_order_is_turned() -> None:
    table = rows.table(examples.busy(), Sort("cost", descending=False))
    assert names(table)[0] == "old-prototype"
    assert names(table)[-1] == "mobile-app"


def test_equal_rows_keep_one_order_whatever_order_they_come_in() -> None:
    snapshot = examples.many(50)
    same = tuple(replace(row, sums=Sums(requests=1)) for row in snapshot.rows)
    one = rows.table(replace(snapshot, rows=same))
    other = rows.table(replace(snapshot, rows=same[::-1]))
    assert names(one) == names(other) == sorted(names(one))


def test_sorting_goes_round_the_columns_each_in_its_useful_direction() -> None:
    sort = Sort("group", descending=False)
    seen = [sort]
    while (sort := rows.table(examples.busy(), sort).next_sort()) not in seen:
        seen.append(sort)
    assert [step.column for step in seen] == [
        "group", "model", "requests", "input", "cached", "output", "cost", "errors", "first", "p50", "p95"
    ]  # fmt: skip
    assert [step.descending for step in seen[:3]] == [False, False, True]


def test_numbers_of_a_column_share_one_unit_and_its_decimals() -> None:
    table = rows.table(examples.busy())
    assert "IN k" in [head.heading for head in table.columns]
    assert [written(table, at, "input") for at in range(3)] == ["812.4", "61.0", "44.8"]
    millions = replace(examples.ROWS[0], sums=replace(examples.ROWS[0].sums, input_tokens=25_000_000))
    large = rows.table(replace(examples.busy(), rows=(millions, examples.ROWS[3])))
    assert "IN M" in [head.heading for head in large.columns]
    assert [written(large, at, "input") for at in range(2)] == ["25.0", "0.1"]


def test_trouble_carries_a_symbol_beside_its_colour() -> None:
    table = rows.table(examples.busy(), Sort("errors"))
    at = [shown.id for shown in table.columns].index("errors")
    assert table.rows[0].cells[at] == ("✖ 79.2", Tone.ALARM)
    assert table.rows[1].cells[at] == ("▲ 3.9", Tone.WARNING)


def test_a_single_error_is_an_accident_whatever_its_share() -> None:
    assert columns.trouble(Sums(requests=10, errors=1)) is Tone.PLAIN
    assert columns.trouble(Sums(requests=10, errors=2)) is Tone.ALARM
    assert columns.trouble(Sums(requests=50, errors=2)) is Tone.WARNING
    assert columns.trouble(Sums(requests=10)) is Tone.FAINT


def test_a_partly_known_cost_says_at_least() -> None:
    partly = Row("k", "m", Sums(requests=2, cost_pico=10**12, unpriced=1))
    assert written(rows.table(replace(examples.busy(), rows=(partly,))), 0, "cost") == "≥ 1.0000"


def test_tokens_that_nobody_counted_are_a_dash() -> None:
    uncounted = Row("k", "m", Sums(requests=2, uncounted=2))
    table = rows.table(replace(examples.busy(), rows=(uncounted,)))
    assert written(table, 0, "input") == "–"
    assert written(table, 0, "cached") == "–"


@pytest.mark.parametrize(
    ("typed", "left"),
    [("gpt", 2), ("GPT mini", 1), ("!gpt", 4), ("gpt !mini", 1), ("nothing-has-this", 0), ("  ", 6), ("!", 6)],
)
def test_a_filter_wants_every_word_and_none_after_an_exclamation_mark(typed: str, left: int) -> None:
    assert rows.table(examples.busy(), wanted=Filter(typed)).matching == left


def test_the_tally_says_when_rows_are_cut() -> None:
    assert rows.table(examples.busy()).tally == "6 of 6"
    assert rows.table(examples.busy(), wanted=Filter("gpt")).tally == "2 of 6"
    assert rows.table(examples.many(250)).tally == "showing 200 of 250"
    assert rows.table(replace(examples.many(200), more_rows=True)).tally == "showing 200 of >200"


def test_grouping_by_model_has_no_second_name() -> None:
    table = rows.table(examples.busy(LiveQuestion(by=GroupBy.MODEL)))
    assert [head.heading for head in table.columns[:2]] == ["MODEL", "REQ"]


def test_a_sort_by_a_column_the_grouping_lacks_falls_back_to_cost() -> None:
    assert rows.table(examples.busy(LiveQuestion(by=GroupBy.MODEL)), Sort("model")).sort == Sort("cost")


@pytest.mark.parametrize("room", [40, 58, 79, 100, 119, 158, 198])
def test_columns_never_need_more_room_than_there_is(room: int) -> None:
    placed = layout.place(rows.table(examples.busy()), room)
    used = layout.MARGIN + sum(column.width for column in placed) + layout.GAP * (len(placed) - 1)
    assert used <= room


def test_the_least_important_columns_go_first() -> None:
    table = rows.table(examples.busy())
    shown = {room: [table.columns[at.index].id for at in layout.place(table, room)] for room in (59, 78, 158)}
    assert shown[59] == ["group", "model", "requests", "cost", "errors"]
    assert shown[78] == ["group", "model", "requests", "input", "output", "cost", "errors"]
    assert len(shown[158]) == len(table.columns)


def test_panning_brings_the_other_columns_into_sight() -> None:
    table = rows.table(examples.busy())
    panned = [table.columns[at.index].id for at in layout.place(table, 78, pan=6)]
    assert panned == ["group", "model", "share", "errors", "first", "p50", "p95"]
