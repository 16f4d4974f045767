"""Figures, health, alerts, notices and the lines around the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from opsconsole.view import alerts, board, chrome, feed, health, notices, text
from opsconsole.view.chrome import Hint
from opsconsole.view.feed import Failure, Feed, Mode
from opsconsole.view.filters import Filter
from opsconsole.view.health import Health
from opsconsole.view.live import beside, deltas, rows, tiles
from opsconsole.view.live.deltas import Reading, Readings
from opsconsole.view.live.empty import empty
from opsconsole.view.live.snapshot import LiveQuestion, Rates
from opsconsole.view.snapshot import WINDOWS, RunningCapture, Setup, TargetTraffic
from opsconsole.view.text import ASCII, Line
from tests.tui import examples
from tests.tui.examples import NOW


def told(lines: tuple[Line, ...] | list[Line]) -> str:
    return "\n".join(text.plain(line).rstrip() for line in lines)


# Rates


def reading(seconds: float, requests: int) -> Reading:
    return Reading(NOW + timedelta(seconds=seconds), requests, requests * 10, requests * 2)


def test_a_rate_needs_two_readings() -> None:
    readings = Readings()
    assert readings.rates() is None
    readings.add(reading(0, 100))
    assert readings.rates() is None
    readings.add(reading(2, 150))
    assert readings.rates() == Rates(25, 250, 50)


def test_a_rate_looks_back_ten_seconds_and_no_further() -> None:
    readings = Readings()
    for second in range(31):
        readings.add(reading(second, 1000 if second >= 10 else 0))
    assert readings.rates() == Rates(0, 0, 0)
    assert timedelta(seconds=10) == deltas.SPAN


def test_a_count_that_went_back_starts_anew_instead_of_giving_a_negative_rate() -> None:
    readings = Readings()
    readings.add(reading(0, 5_000))
    readings.add(reading(1, 3))
    assert readings.rates() is None


# Figures


def test_the_figures_read_as_on_the_sketch() -> None:
    drawn = told(board.board(tiles.tiles(examples.busy()), 150, 3))
    assert "requests /s" in drawn
    assert "3.61 k in   231 out" in drawn
    assert "≥ $ 184.22 today" in drawn
    assert "$ 7.91 /h → $ 190 /day" in drawn
    assert "200 ms   p95 400 ms" in drawn
    assert "33 of 11,348" in drawn
    assert "open streams 37" in drawn


@pytest.mark.parametrize("width", [58, 78, 118, 158])
def test_graphs_print_their_maximum_at_every_width(width: int) -> None:
    drawn = told(board.board(tiles.tiles(examples.busy()), width, 6))
    assert all(maximum in drawn for maximum in ("25.4", "6.55 k", "$ 36.6", "1.2 s", "21.4 %"))


def test_what_is_not_known_is_a_dash_in_every_figure() -> None:
    blank = replace(examples.new(), open_streams=None)
    values = [text.plain(tile.values[-1]) for tile in tiles.tiles(blank)]
    assert values == ["–", "–", "$ 0.00", "–", "–"]


def test_large_graphs_fill_the_height_and_say_how_far_back_they_go() -> None:
    lines = board.graphs(tiles.tiles(examples.busy()), 100, 31, "15 m")
    assert len(lines) <= 31
    assert text.plain(lines[-1]).startswith("15 m ago")
    assert text.plain(lines[-1]).endswith("now")
    few = board.graphs(tiles.tiles(examples.busy()), 60, 12, "15 m")
    assert len(few) <= 12


# Targets and alerts


def target(attempts: int, failures: int, *, disabled: bool = False) -> TargetTraffic:
    return TargetTraffic("openai/gpt-5", attempts, failures, attempts / 300, 280, disabled=disabled)


@pytest.mark.parametrize(
    ("traffic", "state", "words"),
    [
        (target(100, 0), Health.WELL, "● openai/gpt-5 0.33 /s 280 ms"),
        (target(100, 6), Health.SHAKY, "▲ openai/gpt-5 errors 6.0 %"),
        (target(100, 50), Health.FAILING, "✖ openai/gpt-5 failing 50 %"),
        (target(3, 3), Health.SHAKY, "▲ openai/gpt-5 errors 100 %"),
        (target(9, 1), Health.WELL, "● openai/gpt-5 0.03 /s 280 ms"),
        (target(0, 0), Health.IDLE, "○ openai/gpt-5 no traffic"),
        (target(9, 9, disabled=True), Health.DISABLED, "‖ openai/gpt-5 disabled"),
    ],
)
def test_a_target_is_judged_by_its_last_minutes(traffic: TargetTraffic, state: Health, words: str) -> None:
    assert health.health(traffic) is state
    assert text.plain(health.describe(traffic)) == words


def test_trouble_stands_first_and_what_finds_no_room_is_counted() -> None:
    line = text.plain(health.one_line(examples.TARGETS, 60))
    assert line.startswith("✖ groq/llama-4-70b failing 79 %")
    assert line.endswith("+5 more")


def test_alerts_name_what_needs_a_person_urgent_ones_first() -> None:
    alone = replace(examples.busy(), workers=0)
    assert [(alert.text, alert.urgent) for alert in alerts.alerts(alone)] == [
        ("no worker is running: gwctl serve", True),
        ("groq/llama-4-70b: 79 % of attempts fail", True),
        ("local-llama has no price: its cost is unknown", False),
        ("key ci-nightly expires in 3 days", False),
    ]


def test_what_was_noticed_where_nobody_looked_is_urgent() -> None:
    snapshot = replace(examples.quiet(), raised=("credential main of upstream openai is refused",))
    first = alerts.alerts(snapshot)[0]
    assert (first.text, first.urgent) == ("credential main of upstream openai is refused", True)


def test_a_key_that_has_ended_is_said_to_have() -> None:
    ended = replace(examples.SETUP)
    snapshot = replace(
        examples.quiet(), setup=ended, expiring_keys=(examples.ExpiringKey("old", NOW - timedelta(hours=2)),)
    )
    assert [alert.text for alert in alerts.alerts(snapshot)] == ["key old expired 2 h ago"]


def test_whoever_watches_sees_that_requests_are_being_kept() -> None:
    running = tuple(RunningCapture("key:ci-bot", NOW + timedelta(hours=hours)) for hours in (13, 0))
    snapshot = replace(examples.quiet(), captures=running)
    found = [(alert.text, alert.urgent) for alert in alerts.alerts(snapshot)]
    assert ("capturing key:ci-bot for another 13 h", False) in found
    assert len([text for text, _ in found if "capturing" in text]) == 1


def test_a_new_gateway_has_steps_and_no_alerts() -> None:
    assert alerts.alerts(examples.new()) == ()


# Notices


def notice_of(snapshot_feed: Feed, wanted: Filter = Filter()) -> str | None:  # noqa: B008 - frozen
    snapshot = snapshot_feed.snapshot
    table = rows.table(snapshot, wanted=wanted) if snapshot else None
    found = notices.notice(snapshot_feed, table, wanted, lambda: empty(snapshot))
    return told(found.drawn(80, 24)) if found else None


def test_a_busy_table_needs_no_notice() -> None:
    assert notice_of(Feed(examples.busy(), NOW)) is None


def test_before_the_first_reading_it_says_what_it_does() -> None:
    assert notice_of(Feed()) == "Reading the ledger…\n"


def test_a_first_reading_that_fails_says_why_and_what_to_do() -> None:
    failed = Feed(failure=Failure("database: unable to open", "gwctl doctor", NOW))
    page = notice_of(failed)
    assert page is not None
    assert page.startswith("The ledger could not be read yet.\n\ngwctl doctor  may help")


def test_the_first_run_marks_the_next_step() -> None:
    page = notice_of(Feed(examples.new(), NOW))
    assert page is not None
    assert "✓ upstream  openai" in page
    assert "▸ key       2 then n  or gwctl keys create my-app" in page
    assert "  worker    gwctl serve" in page


def test_a_home_that_is_not_set_up_begins_with_init_and_says_where_files_will_be() -> None:
    nothing = replace(examples.new(), setup=Setup("/srv/gateway", initialised=False, ever_used=False))
    page = notice_of(Feed(nothing, NOW))
    assert page is not None
    assert "▸ gateway   gwctl init" in page
    assert "Files will be in /srv/gateway" in page


def test_an_empty_window_says_when_the_last_request_came_and_how_to_look_further_back() -> None:
    page = notice_of(Feed(examples.quiet(), NOW))
    assert page == "No requests in the last 15 m.\n\nThe last one came 3 h ago.\n] looks further back."


def test_an_empty_window_without_a_worker_says_that() -> None:
    page = notice_of(Feed(replace(examples.quiet(), workers=0), NOW))
    assert page is not None
    assert "No worker is running: gwctl serve" in page


def test_a_filter_that_hides_everything_says_so() -> None:
    page = notice_of(Feed(examples.busy(), NOW), Filter("zzz"))
    assert page == "No row matches “zzz”.\n\n6 rows are hidden; esc clears the filter."


def test_a_terminal_that_is_too_small_gets_a_sentence() -> None:
    assert notices.too_small(60, 15) is None
    assert notices.too_small(59, 15) == "The console needs 60×15 characters; this terminal has 59×15."


# Status, heading, key bar


def status(newest: Feed, *, paused: bool = False, seconds: float = 0.4) -> str:
    mode = Mode(LiveQuestion(), 1.0, paused)
    return " ".join(span.text for span in feed.status(newest, mode, NOW + timedelta(seconds=seconds)))


def test_the_status_tells_the_three_outcomes_apart() -> None:
    live = Feed(examples.busy(), NOW)
    assert status(live) == "● live every 1 s · 0.4 s old"
    assert status(live, paused=True) == "‖ paused space resumes"
    assert status(Feed()) == "○ reading…"
    assert status(Feed(examples.busy(LiveQuestion(WINDOWS[2])), NOW)) == "○ reading…"
    failed = Feed(examples.busy(), NOW, Failure("database: locked", None, NOW))
    assert status(failed, seconds=12) == "✖ stale 12 s"
    assert status(Feed(failure=failed.failure)) == "✖ no data"


def test_a_failure_says_its_age_and_when_it_is_tried_again() -> None:
    failure = Failure("database: locked", "gwctl doctor", NOW + timedelta(seconds=16))
    banner = feed.banner(Feed(examples.busy(), NOW, failure), NOW + timedelta(seconds=12))
    assert banner is not None
    assert text.plain(banner) == "✖ database: locked  figures 12 s old · next try in 4 s  gwctl doctor"
    assert feed.banner(Feed(examples.busy(), NOW), NOW) is None


@pytest.mark.parametrize("width", [40, 60, 80, 118, 200])
def test_the_heading_is_as_wide_as_the_terminal_and_keeps_what_matters(width: int) -> None:
    heading = chrome.Heading(
        Feed(examples.busy(), NOW), Mode(LiveQuestion(), 1.0, window="15 m"), NOW, UTC, 2, urgent=True, read_only=True
    )
    line = text.plain(chrome.heading(heading, width))
    assert len(line) == width
    assert "15 m" in line
    assert "● live" in line
    if width >= 60:
        assert "✖ 2 alerts" in line
        assert "12:00:00" in line


def test_the_key_bar_drops_what_matters_least_and_knows_what_was_clicked() -> None:
    hints = [Hint("/", "filter", 2, "a"), Hint("s", "sort", 5, "b"), Hint("q", "quit", 1, "c")]
    wide = chrome.key_bar(hints, 40)
    assert [(at, hint.key) for at, hint in wide] == [(0, "/"), (10, "s"), (34, "q")]
    assert [hint.key for _, hint in chrome.key_bar(hints, 20)] == ["/", "q"]
    clicked = chrome.hint_at(wide, 12)
    assert clicked is not None
    assert clicked.action == "b"
    assert chrome.hint_at(wide, 20) is None


def test_everything_can_be_drawn_in_ascii() -> None:
    snapshot = examples.busy()
    lines = [
        *board.board(tiles.tiles(snapshot, ASCII), 118, 6, ASCII),
        *beside.foot(snapshot.targets, alerts.alerts(snapshot, ASCII), 118, 6, ASCII),
        *(row.cells for row in rows.table(snapshot, glyphs=ASCII).rows),
    ]
    assert told(lines).isascii()


def test_a_terminal_that_cannot_draw_dots_gets_ascii() -> None:
    assert text.glyphs_for("UTF-8", "xterm-256color").braille
    assert text.glyphs_for("utf8", "tmux").braille
    assert not text.glyphs_for("UTF-8", "linux").braille
    assert not text.glyphs_for("ascii", "xterm").braille
    assert not text.glyphs_for(None, "").braille
