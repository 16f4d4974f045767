"""Graphs of characters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opsconsole.view import charts
from opsconsole.view.text import ASCII, UNICODE

VALUES = st.lists(st.none() | st.floats(0, 1e12), max_size=80)


def test_a_graph_stands_on_zero_and_tells_its_maximum() -> None:
    drawn = charts.chart([0, 5, 10, 10], width=2, height=2)
    assert drawn.lines == ("⢀⣿", "⣸⣿")
    assert drawn.maximum == 10


def test_unknown_stays_empty_while_zero_draws_the_base_line() -> None:
    assert charts.chart([None, None, 0, 0], width=2, height=1).lines == (" ⣀",)


def test_equal_values_fill_the_graph_instead_of_vanishing_like_min_to_max_scaling_does() -> None:
    assert charts.chart([7, 7], width=1, height=1).lines == ("⣿",)


def test_without_braille_the_same_graph_is_drawn_in_ascii() -> None:
    assert charts.chart([0, 5, 10], width=3, height=2, glyphs=ASCII).lines == ("  |", ".||")


def test_fewer_steps_are_repeated_and_of_more_the_peaks_are_kept() -> None:
    assert charts.resample([1, 2], 4) == [1, 1, 2, 2]
    assert charts.resample([1, 9, 2, 3], 2) == [9, 3]
    assert charts.resample([], 2) == [None, None]


def test_a_trend_is_one_line_of_blocks() -> None:
    assert charts.trend((0, 1, 4, 8), 4) == "▁▂▅█"
    assert charts.trend((), 4) == ""


@given(VALUES, st.integers(1, 40), st.integers(1, 8))
def test_every_line_is_exactly_as_wide_as_asked(values: list[float | None], width: int, height: int) -> None:
    for glyphs in (UNICODE, ASCII):
        drawn = charts.chart(values, width, height, glyphs)
        assert [len(line) for line in drawn.lines] == [width] * height


@given(VALUES, st.integers(1, 60))
def test_the_maximum_drawn_is_the_maximum_printed(values: list[float | None], width: int) -> None:
    assert charts.top(charts.resample(values, width)) == charts.top(values)
