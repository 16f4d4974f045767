"""The console driven by keys: what each does, and what stays where it is."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import pytest
from textual.events import AppBlur, AppFocus

from keyvault.errors import Unavailable
from opsconsole.tui.actions import CONSOLE_ACTIONS, Action, offered
from opsconsole.tui.app import UNFOCUSED_INTERVAL, Console
from opsconsole.tui.screens.help import Help
from opsconsole.tui.screens.keys import KEYS_ACTIONS
from opsconsole.tui.screens.live import LIVE_ACTIONS, LiveScreen
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.feed import Failure, Feed
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion, LiveSnapshot
from opsconsole.view.table import Sort
from tests.tui import examples
from tests.tui.driving import press, running, screen_text, until

CANARY = "sk-canary-0123456789"
ACTIONS = (*LIVE_ACTIONS, *CONSOLE_ACTIONS)


# One list of actions


def test_an_action_that_changes_something_is_not_there_when_only_reading() -> None:
    revoke = Action("revoke", ("D",), "screen.revoke", "revoke", "Revoke the key", "table", changes=True)
    assert revoke in offered((*ACTIONS, revoke), read_only=False)
    assert revoke not in offered((*ACTIONS, revoke), read_only=True)


async def test_read_only_is_said() -> None:
    async with running(size=(100, 24), read_only=True) as (console, _):
        assert "read-only" in screen_text(console).splitlines()[0]


@pytest.mark.parametrize("read_only", [False, True])
async def test_the_first_steps_name_the_consoles_keys_only_where_they_do_something(read_only: bool) -> None:
    async with running(lambda _question: examples.new(), size=(120, 30), read_only=read_only) as (console, _):
        assert ("2 then n" in screen_text(console)) is not read_only
        assert "gwctl keys create my-app" in screen_text(console)


async def test_help_lists_every_action_and_leaves_with_escape() -> None:
    async with running(size=(100, 64)) as (console, pilot):
        await press(pilot, "question_mark")
        assert isinstance(console.screen, Help)
        shown = screen_text(console)
        assert all(action.tip in shown and action.shown_keys in shown for action in ACTIONS)
        await press(pilot, "escape")
        assert isinstance(console.screen, LiveScreen)


async def test_the_help_goes_on_below_where_a_sentence_began_where_there_is_little_room() -> None:
    async with running(size=(60, 15)) as (console, pilot):
        await press(pilot, "question_mark")
        await until(pilot, lambda: "!word" in screen_text(console))
        assert f"\n{' ' * 19}hides\n" in screen_text(console)


async def test_the_palette_finds_an_action_by_its_words_and_runs_it() -> None:
    async with running() as (console, pilot):
        await press(pilot, "colon")
        await press(pilot, *"by project")
        await pilot.app.workers.wait_for_complete()
        await press(pilot, "enter")
        await until(pilot, lambda: "screen.group('project')" in console.ran)
        await until(pilot, lambda: console.reader.asked[-1].by is GroupBy.PROJECT)


async def test_a_click_on_the_key_bar_does_what_the_key_does() -> None:
    async with running() as (console, pilot):
        await pilot.click("KeyBar", offset=(10, 0))
        await pilot.pause()
        assert console.query_one(FilterBar).display


async def test_the_key_bar_offers_no_deed_where_there_is_no_row_and_help_before_a_pause() -> None:
    async with running() as (console, pilot):
        bar = console.screen.query_one(KeyBar)
        assert {"open", "copy name"} <= {hint.does for hint in bar.hints}
        await press(pilot, "slash", *"zzz")
        assert not {"open", "copy name"} & {hint.does for hint in bar.hints}
        assert {"filter", "help"} <= {hint.does for hint in bar.hints}
    ranks = {action.id: action.rank for action in ACTIONS}
    assert ranks["help"] < ranks["pause"]


def test_what_takes_access_away_is_named_before_the_order_of_a_table() -> None:
    ranks = {action.id: action.rank for action in KEYS_ACTIONS}
    assert max(ranks[name] for name in ("rotate", "suspend", "revoke")) < min(ranks["sort"], ranks["pause"])


# The table keeps its place


def shuffled(question: LiveQuestion, seed: int) -> LiveSnapshot:
    """The same keys with other costs, and so in another order."""
    snapshot = examples.many(60, question)
    rows = tuple(
        replace(row, sums=replace(row.sums, cost_pico=hash((seed, at)) % 10**12))
        for at, row in enumerate(snapshot.rows)
    )
    return replace(snapshot, rows=rows)


async def test_the_cursor_stays_on_its_row_when_the_order_changes() -> None:
    seeds = iter(range(100))
    async with running(lambda question: shuffled(question, next(seeds))) as (console, pilot):
        table = console.screen.query_one(ViewTable)
        await press(pilot, "j", "j", "j")
        chosen = table.cursor_key
        for _ in range(5):
            before = console.feed
            await press(pilot, "ctrl+r")
            await until(pilot, lambda before=before: console.feed is not before)
            assert table.cursor_key == chosen
            assert f"▸ {chosen[0]}" in screen_text(console)


async def test_cursor_and_scroll_stay_when_only_figures_change() -> None:
    async with running(lambda question: examples.many(200, question)) as (console, pilot):
        table = console.screen.query_one(ViewTable)
        await press(pilot, "pagedown", "pagedown", "k", "k")
        scroll, key = table.scroll_offset.y, table.cursor_key
        assert scroll > 0
        snapshot = examples.many(200)
        changed = tuple(replace(row, trend=(1, 2, 3)) for row in snapshot.rows)
        console.feed = Feed(replace(snapshot, rows=changed), console.feed.read_at)
        await pilot.pause()
        assert (table.scroll_offset.y, table.cursor_key) == (scroll, key)


async def test_a_cursor_that_was_scrolled_out_of_sight_does_not_pull_the_view_back() -> None:
    async with running(lambda question: examples.many(200, question)) as (console, pilot):
        table = console.screen.query_one(ViewTable)
        table.scroll_to(y=100, animate=False)
        await pilot.pause()
        console.feed = Feed(examples.many(201), console.feed.read_at)
        await pilot.pause()
        assert table.scroll_offset.y == 100


async def test_until_a_row_is_picked_the_cursor_is_on_the_first() -> None:
    async with running() as (console, pilot):
        await press(pilot, "S")
        assert console.screen.query_one(ViewTable).cursor_key == ("old-prototype", "llama-4-70b")


async def test_a_row_that_has_gone_leaves_the_cursor_where_it_was() -> None:
    answers = [examples.busy(), replace(examples.busy(), rows=examples.ROWS[1:])]
    async with running(lambda _question: answers[0]) as (console, pilot):
        assert console.screen.query_one(ViewTable).cursor_key == ("support-bot", "claude-sonnet-5")
        answers.pop(0)
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: console.screen.query_one(ViewTable).cursor_key == ("billing-assistant", "gpt-5"))


async def test_home_end_and_the_vim_keys_go_to_the_ends() -> None:
    async with running(lambda question: examples.many(200, question)) as (console, pilot):
        table = console.screen.query_one(ViewTable)
        first = table.cursor_key
        await press(pilot, "G")
        last = table.cursor_key
        assert last != first
        await press(pilot, "g", "g")
        assert table.cursor_key == first
        await press(pilot, "end")
        assert table.cursor_key == last
        await press(pilot, "home")
        assert table.cursor_key == first


async def test_only_rows_that_changed_are_drawn_anew() -> None:
    async with running() as (console, pilot):
        table = console.screen.query_one(ViewTable)
        drawn = {key: id(kept[2]) for key, kept in table._strips.items()}
        changed = replace(examples.ROWS[3], sums=replace(examples.ROWS[3].sums, requests=99))
        console.feed = Feed(
            replace(examples.busy(), rows=(*examples.ROWS[:3], changed, *examples.ROWS[4:])), console.feed.read_at
        )
        await pilot.pause()
        screen_text(console)
        anew = [key for key, kept in table._strips.items() if drawn[key] != id(kept[2])]
        assert anew == [("billing-assistant", "gpt-5")]


# What keys do


async def test_brackets_change_the_window_and_stop_at_its_ends() -> None:
    async with running() as (console, pilot):
        await press(pilot, *["right_square_bracket"] * 9)
        await until(pilot, lambda: console.reader.asked[-1].window.label == "30 d")
        assert "last 30 d" in screen_text(console)
        await press(pilot, *["left_square_bracket"] * 9)
        await until(pilot, lambda: console.reader.asked[-1].window.label == "5 m")


@pytest.mark.parametrize("by", list(GroupBy))
async def test_g_and_a_letter_group(by: GroupBy) -> None:
    async with running() as (console, pilot):
        await press(pilot, "g")
        assert "group by" in screen_text(console)
        await press(pilot, by[0])
        await until(pilot, lambda: console.reader.asked[-1].by is by)
        await until(pilot, lambda: f"by {by.heading}" in screen_text(console))


async def test_escape_leaves_the_menu_without_doing_anything() -> None:
    async with running() as (console, pilot):
        await press(pilot, "g", "escape")
        assert isinstance(console.screen, LiveScreen)
        assert console.reader.asked[-1].by is GroupBy.KEY


@pytest.mark.parametrize("key", ["g", "question_mark"])
async def test_the_heading_goes_on_telling_the_truth_below_what_is_on_top(key: str) -> None:
    async with running() as (console, pilot):
        await press(pilot, key)
        console.frozen.advance(seconds=12)
        console._tick()
        await pilot.pause()
        assert "12 s old" in screen_text(console).splitlines()[0]
        console.feed = Feed(
            console.feed.snapshot, console.feed.read_at, Failure("it broke", None, console.frozen.now())
        )
        await pilot.pause()
        assert "stale 12 s" in screen_text(console).splitlines()[0]


async def test_a_key_that_is_not_in_the_menu_leaves_it_and_does_what_it_always_does() -> None:
    async with running() as (console, pilot):
        await press(pilot, "g", "slash")
        await until(pilot, lambda: console.screen.query(FilterBar) and console.query_one(FilterBar).display)
        await press(pilot, "escape", "g", "2")
        await until(pilot, lambda: console.current_mode == "keys" and len(console.screen_stack) == 1)


async def test_sort_and_reverse() -> None:
    async with running() as (console, pilot):
        await press(pilot, "j", "k", "S")
        assert "sort: cost ▲" in screen_text(console)
        await press(pilot, "s")
        assert "sort: errors ▼" in screen_text(console)
        assert "▸ support-bot" in screen_text(console), "the cursor stays with its row"


async def test_a_click_on_a_heading_sorts_and_a_second_one_turns() -> None:
    async with running() as (console, pilot):
        place = next(line.index(" REQ ") + 1 for line in screen_text(console).splitlines() if " REQ " in line)
        await pilot.click(ViewTable, offset=(place, 0))
        await pilot.pause()
        assert "sort: requests ▼" in screen_text(console)
        await pilot.click(ViewTable, offset=(place, 0))
        await pilot.pause()
        assert "sort: requests ▲" in screen_text(console)


async def test_a_click_on_a_row_puts_the_cursor_there() -> None:
    async with running() as (console, pilot):
        await pilot.click(ViewTable, offset=(5, 3))
        assert console.screen.query_one(ViewTable).cursor_key == ("ci-nightly", "gpt-5-mini")


async def test_the_filter_acts_while_typing_and_escape_clears_it() -> None:
    async with running() as (console, pilot):
        await press(pilot, "slash", *"gpt")
        assert "2 of 6" in screen_text(console)
        await press(pilot, "enter")
        assert not console.screen.query_one(FilterBar).display
        assert "filter: gpt" in screen_text(console)
        await press(pilot, "j")
        assert console.screen.query_one(ViewTable).cursor_key == ("ci-nightly", "gpt-5-mini")
        await press(pilot, "escape")
        assert "6 of 6" in screen_text(console)


async def test_letters_typed_into_the_filter_are_no_commands() -> None:
    async with running() as (console, pilot):
        await press(pilot, "slash", "q", "space", "z", "g")
        assert console.is_running
        assert "filter: q zg" in screen_text(console)


async def test_pausing_freezes_the_table_but_not_the_figures() -> None:
    answers = [examples.busy()]
    async with running(lambda _question: answers[-1]) as (console, pilot):
        await press(pilot, "space")
        totals = replace(examples.busy().totals, requests=99_999)
        row = replace(examples.ROWS[0], sums=replace(examples.ROWS[0].sums, requests=7_777))
        answers.append(
            replace(examples.busy(), totals=totals, rows=(row,), spending=examples.Spending(today_pico=10**12))
        )
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "$ 1.00 today" in screen_text(console))
        assert "‖ paused" in screen_text(console)
        assert "1,204" in screen_text(console)
        assert "7,777" not in screen_text(console)
        await press(pilot, "space")
        assert "7,777" in screen_text(console)


async def test_another_window_is_shown_even_when_paused() -> None:
    async with running() as (console, pilot):
        await press(pilot, "space", "g", "m")
        await until(pilot, lambda: "by model" in screen_text(console))


async def test_zoom_goes_round_and_escape_leaves_it() -> None:
    async with running() as (console, pilot):
        await press(pilot, "z")
        assert "15 m ago" in screen_text(console)
        assert "support-bot" not in screen_text(console)
        await press(pilot, "z")
        assert "support-bot" in screen_text(console)
        assert "req /s" not in screen_text(console)
        await press(pilot, "escape")
        assert "support-bot" in screen_text(console)
        assert "req /s" in screen_text(console)


async def test_y_copies_the_name_of_the_row() -> None:
    async with running() as (console, pilot):
        await press(pilot, "j", "y")
        assert console.clipboard == "billing-assistant"


async def test_h_and_l_bring_the_other_columns_into_sight() -> None:
    async with running() as (console, pilot):
        assert "P95 s" not in screen_text(console)
        await press(pilot, *"lllllllll")
        assert "P95 s" in screen_text(console)
        assert "support-bot" in screen_text(console)
        await press(pilot, *"hhhhhhhhh")
        assert "REQ" in screen_text(console)


# Reading


async def test_plus_and_minus_change_how_often_it_reads_with_half_a_second_as_the_floor() -> None:
    async with running() as (console, pilot):
        await press(pilot, "plus", "plus", "plus")
        assert console.interval == 0.5
        assert "every 0.5 s" in screen_text(console)
        await press(pilot, "minus", "minus")
        assert console.interval == 2.0


async def test_without_focus_it_reads_every_five_seconds() -> None:
    async with running() as (console, pilot):
        console.post_message(AppBlur())
        await pilot.pause()
        assert console.interval == UNFOCUSED_INTERVAL
        console.post_message(AppFocus())
        await pilot.pause()
        assert console.interval == 1.0


async def test_another_screen_on_top_stops_drawing_but_not_reading() -> None:
    answers = [examples.busy()]
    async with running(lambda _question: answers[-1]) as (console, pilot):
        table = console.screen.query_one(ViewTable)
        await press(pilot, "question_mark")
        readings = len(console.reader.asked)
        answers.append(replace(examples.busy(), rows=examples.ROWS[1:]))
        console.poller.read_now()
        await until(pilot, lambda: console.feed.snapshot is answers[-1])
        assert len(console.reader.asked) > readings
        assert table.cursor_key == ("support-bot", "claude-sonnet-5")
        await press(pilot, "escape")
        assert table.cursor_key == ("billing-assistant", "gpt-5")


async def test_a_failed_reading_keeps_the_figures_and_says_how_old_they_are() -> None:
    outcomes: list[Exception | None] = [None]

    def answer(question: LiveQuestion) -> LiveSnapshot:
        if outcomes[-1] is not None:
            raise outcomes[-1]
        return examples.busy(question)

    async with running(answer) as (console, pilot):
        outcomes.append(Unavailable("database: disk I/O error", hint="gwctl doctor"))
        console.frozen.advance(seconds=12)
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: console.feed.failure)
        shown = screen_text(console)
        assert "✖ stale 12 s" in shown
        assert "✖ database: disk I/O error  figures 12 s old · next try in 1 s" in shown
        assert "support-bot" in shown
        outcomes.append(None)
        await press(pilot, "ctrl+r")
        await until(pilot, lambda: "● live" in screen_text(console))
        assert "disk I/O" not in screen_text(console)


# Breaking


class BreakingConsole(Console):
    """Breaks with a secret in the exception and in a local variable."""

    def action_read_now(self) -> None:
        token = CANARY
        raise KeyError(f"no such token: {token}")


def test_a_crash_prints_where_it_was_and_no_value(capfd: pytest.CaptureFixture[str]) -> None:
    out, err = io.StringIO(), io.StringIO()
    console = BreakingConsole(examples.FakeReader())

    async def break_it(pilot) -> None:  # type: ignore[no-untyped-def]
        await pilot.press("ctrl+r")

    with redirect_stdout(out), redirect_stderr(err):
        console.run(headless=True, auto_pilot=break_it, size=(80, 24))
    printed = out.getvalue() + err.getvalue() + "".join(capfd.readouterr())
    assert "stopped on an internal error: KeyError" in printed
    assert "in action_read_now" in printed
    assert CANARY not in printed
    assert console.return_code == 1


def test_the_order_of_a_new_console_is_by_cost() -> None:
    assert Sort("cost", descending=True) == LiveScreen.SORT
