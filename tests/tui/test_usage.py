"""The Usage and Requests views over a real home: from a customer down to the attempts of one request, and back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from keyvault.clock import Clock
from keyvault.domain.budgets import Period
from keyvault.domain.narrowing import Narrowing
from keyvault.domain.pivot import PivotAsked, Stretch
from keyvault.domain.reports import RequestLine
from keyvault.domain.scopes import parse_scope
from keyvault.home import Home
from keyvault.metering.budgets import Terms
from opsconsole.readers.home import HomeReader
from opsconsole.tui.app import Console
from opsconsole.tui.poller import Poller, Reader
from opsconsole.tui.screens.request import RequestScreen
from opsconsole.tui.screens.requests import RequestsScreen
from opsconsole.tui.screens.usage import UsageScreen
from opsconsole.view import bars
from opsconsole.view.bars import Bar, Series
from opsconsole.view.filters import Filter
from opsconsole.view.live.rows import narrowing as of_live
from opsconsole.view.live.snapshot import GroupBy
from opsconsole.view.requests import reading
from opsconsole.view.requests.rows import BY_END, table
from opsconsole.view.requests.snapshot import RequestsQuestion, RequestsSnapshot
from opsconsole.view.snapshot import Question, Snapshot
from opsconsole.view.table import Sort
from opsconsole.view.text import ASCII, UNICODE, Tone, plain
from opsconsole.view.usage import title
from opsconsole.view.usage.snapshot import UsageQuestion, UsageSnapshot, deeper
from screenshots.demo import NOW, make_home
from tests.tui.driving import PatientPoller, press, screen_text, until
from tests.tui.stylesheet import parse_once
from tests.tui.test_pictures import compare

DOLLAR = 10**12


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = make_home(tmp_path_factory.mktemp("home"))
    home.budgets.set(parse_scope("customer:acme"), Terms(16 * DOLLAR, Period.MONTH))
    home.budgets.set(parse_scope("customer:globex"), Terms(100 * DOLLAR, Period.DAY))
    yield home
    home.close()


class PatientConsole(Console):
    """Reads only when asked."""

    def make_poller(self, reader: Reader, clock: Clock, question: Question) -> Poller:
        return PatientPoller(reader, self._post, clock, question)


@asynccontextmanager
async def looking(
    home: Home, view: str, size: tuple[int, int] = (120, 36), **options: object
) -> AsyncIterator[tuple[Console, Pilot[None]]]:
    told = {"clock": home.clock, "zone": UTC, "glyphs": UNICODE, **options}
    console = PatientConsole(HomeReader(home, "UTC"), **told)  # type: ignore[arg-type]
    parse_once(console)
    async with console.run_test(size=size) as pilot:
        console.action_view(view)
        await answered(console, pilot)
        yield console, pilot


async def answered(console: Console, pilot: Pilot[None]) -> None:
    """Wait until the view on top shows what it asks for."""
    await until(pilot, lambda: console.view.kept and console.view.kept.question == console.view.question)


async def go(console: Console, pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await press(pilot, key)
        await answered(console, pilot)


# The way down and back


async def test_enter_leads_from_a_customer_to_an_attempt_and_escape_back_to_each_row(home: Home) -> None:
    async with looking(home, "usage") as (console, pilot):
        rows = []
        await go(console, pilot, "j")
        for by in ("customer", "project", "key", "model"):
            assert isinstance(console.screen, UsageScreen)
            assert console.screen.question.asked.by == by
            rows.append(console.screen.rows.cursor_key)
            await go(console, pilot, "enter")
        assert isinstance(console.screen, RequestsScreen)
        wanted = console.screen.question.narrowing
        assert (wanted.customer, wanted.project, wanted.key, wanted.model) == tuple(row[0] for row in rows if row)
        assert {(line.key, line.model) for line in console.screen.kept.lines} == {(wanted.key, wanted.model)}
        opened = console.screen.rows.cursor_key
        await go(console, pilot, "enter")
        assert isinstance(console.screen, RequestScreen)
        assert opened is not None
        assert f"request {opened[0]}" in screen_text(console)
        await go(console, pilot, "escape")
        assert console.screen.rows.cursor_key == opened
        for row in reversed(rows):
            await go(console, pilot, "escape")
            assert console.view.rows.cursor_key == row


async def test_live_opens_the_requests_of_its_row(home: Home) -> None:
    async with looking(home, "live") as (console, pilot):
        group, model = console.view.rows.cursor_key or ("", "")
        await go(console, pilot, "enter")
        assert console.view.question == RequestsQuestion(Narrowing(key=group, model=model))
        assert console.view.kept.lines
        await go(console, pilot, "escape")
        assert console.view.rows.cursor_key == (group, model)
    assert of_live(GroupBy.TARGET, ("openai/gpt-5", "")) == Narrowing(target="openai/gpt-5")


@pytest.mark.parametrize(
    ("key", "view", "row"), [("K", "keys", "key"), ("R", "routes", "alias"), ("U", "vault", "target")]
)
async def test_a_request_leads_to_its_key_route_and_upstream(home: Home, key: str, view: str, row: str) -> None:
    async with looking(home, "requests") as (console, pilot):
        line = console.view.line
        await press(pilot, key)
        await until(pilot, lambda: view == console.view.NAME and console.view.kept)
        if view != "routes":  # there are none in this home
            wanted = getattr(line, row).partition("/")[0]
            await until(pilot, lambda: (console.view.rows.cursor_key or ("",))[0] == wanted)


async def test_requests_are_narrowed_and_paged_and_escape_undoes_it(home: Home) -> None:
    async with looking(home, "requests") as (console, pilot):
        newest = console.view.rows.cursor_key
        await go(console, pilot, "right_square_bracket", "right_square_bracket")
        assert all((line.request_id,) < newest for line in console.view.kept.lines)
        await go(console, pilot, "left_square_bracket", "left_square_bracket")
        assert console.view.rows.cursor_key == newest
        await go(console, pilot, "f")
        assert {line.outcome for line in console.view.kept.lines} == {"failed"}
        key = console.view.line.key
        await press(pilot, "g")
        await go(console, pilot, "k")
        assert console.view.question.narrowing == Narrowing(key=key, failed=True)
        assert f"requests of key {key} · failed" in screen_text(console)
        await go(console, pilot, "escape")
        assert console.view.question == RequestsQuestion()


async def test_what_is_shown_is_written_into_a_file_even_when_only_reading(home: Home, tmp_path: Path) -> None:
    async with looking(home, "usage", read_only=True) as (console, pilot):
        await press(pilot, "w")
        field = console.screen.query_one("#field-file", Input)
        assert field.value == "usage-by-customer-2026-11-22.csv"
        field.value = "/nowhere/usage.csv"
        await pilot.pause()
        await press(pilot, "enter")
        await until(pilot, lambda: "no such directory" in screen_text(console))
        field.value = str(tmp_path / "usage.csv")
        await pilot.pause()
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(console.screen, UsageScreen))
        heading, first, *_ = (tmp_path / "usage.csv").read_text().splitlines()
        report = home.reports.usage(console.view.kept.pivot.since, NOW + timedelta(hours=1), ("customer",))
        assert heading.startswith("customer,requests,attempts,errors")
        assert first.startswith(f"acme,{report.rows[0].totals.requests},")


class Crowded:
    """A home in which ten times as many customers as a table shows used something."""

    def __init__(self, home: Home) -> None:
        self._reader = HomeReader(home, "UTC")

    def read(self, question: Question) -> Snapshot:
        snapshot = self._reader.read(question)
        if not isinstance(snapshot, UsageSnapshot) or snapshot.pivot is None:
            return snapshot
        like = snapshot.pivot.rows[0]
        rows = [replace(like, name=f"team-{at}", totals=replace(like.totals, requests=at)) for at in range(2_500)]
        return replace(snapshot, pivot=replace(snapshot.pivot, rows=tuple(rows)))


async def test_every_row_that_matches_is_written_in_the_order_of_the_table(home: Home, tmp_path: Path) -> None:
    console = PatientConsole(Crowded(home), clock=home.clock, zone=UTC, glyphs=UNICODE)
    async with console.run_test(size=(120, 36)) as pilot:
        console.action_view("usage")
        await answered(console, pilot)

        async def written(wanted: str, title: str) -> list[str]:
            path = tmp_path / f"usage{wanted}.csv"
            console.view.sort, console.view.wanted = Sort("requests"), Filter(wanted)
            console.view.draw()
            await press(pilot, "w")
            assert title in screen_text(console)
            console.screen.query_one("#field-file", Input).value = str(path)
            await pilot.pause()
            await press(pilot, "enter")
            await until(pilot, lambda: isinstance(console.screen, UsageScreen))
            return [line.partition(",")[0] for line in path.read_text().splitlines()[1:]]

        assert await written("", "Write all 2,500 rows") == [f"team-{at}" for at in reversed(range(2_500))]
        matching = (*range(2_499, 2_399, -1), *range(249, 239, -1), 24)
        shown = await written("m-24", "Write the 111 rows that the filter shows")
        assert shown == [f"team-{at}" for at in matching]


# What they look like


PICTURES = {
    "usage-60x15": ("usage", (60, 15), ()),
    "usage-80x24": ("usage", (80, 24), ()),
    "usage-120x36": ("usage", (120, 36), ("j",)),
    "usage-200x60": ("usage", (200, 60), ()),
    "usage-graphs": ("usage", (120, 40), ("z",)),
    "usage-stacked": ("usage", (100, 30), ("v", "z")),
    "usage-drilled": ("usage", (100, 24), ("enter", "enter", "enter")),
    "usage-by-day": ("usage", (100, 24), ("right_square_bracket", "g", "d")),
    "requests-60x15": ("requests", (60, 15), ()),
    "requests-80x24": ("requests", (80, 24), ()),
    "requests-120x36": ("requests", (120, 36), ()),
    "requests-200x60": ("requests", (200, 60), ()),
    "requests-filter": ("requests", (100, 24), ("f", "slash", "g", "r", "o", "q")),
    "request-80x24": ("requests", (80, 24), ("enter",)),
    "request-120x30": ("requests", (120, 30), ("f", "enter")),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_a_state_looks_as_designed(home: Home, name: str) -> None:
    view, size, keys = PICTURES[name]
    async with looking(home, view, size) as (console, pilot):
        await go(console, pilot, *keys)
        compare(name, console)


async def test_without_drawing_characters_nothing_is_lost_but_looks(home: Home) -> None:
    async with looking(home, "usage", (100, 30), glyphs=ASCII) as (console, pilot):
        await go(console, pilot, "v", "z")
        compare("usage-ascii", console)


# Parts


def test_a_row_leads_to_what_is_not_chosen_yet() -> None:
    by_target = PivotAsked("target", only=(("key", "ci"),))
    assert deeper(by_target, "openai/gpt-5") == PivotAsked("model", only=(("key", "ci"), ("target", "openai/gpt-5"))), (
        "the key is known"
    )
    by_day = deeper(PivotAsked("day", Stretch.DAYS), "2026-10-01")
    assert by_day == PivotAsked("customer", Stretch.DAYS, day="2026-10-01")
    assert deeper(PivotAsked("model"), "gpt-5") is None
    assert title.crumbs(PivotAsked("model", only=(("customer", "acme"), ("project", "acme/web")))) == ["acme", "web"]


def test_a_stack_differs_by_its_filling_and_fills_to_the_top() -> None:
    series = [Series("a", [3.0, 0.0, 1.0]), Series("b", [1.0, 0.0, 0.0])]
    lines = [plain(line) for line in bars.stacked(series, 12, 4)]
    assert lines == ["▓▓▓         ", "███         ", "███         ", "███     ███ "]
    assert bars.stacked(series, 2, 4) == [], "less room than steps"


def test_a_bar_is_as_long_as_its_share_and_never_nothing_for_something() -> None:
    told = bars.bars([Bar("a", 8, "8"), Bar("b", 4, "4"), Bar("c", 0.001, "<1"), Bar("d", 0, "0")], 24, 4, Tone.MONEY)
    lengths = [plain(line).split("  ")[1].strip() for line in told]
    assert lengths == ["█" * 17, "█" * 8 + "▌", "▏", ""]
    assert plain(bars.bars([Bar("a", 1, "1")] * 5, 24, 3, Tone.MONEY)[-1]) == "+3 more"


def test_a_name_cannot_carry_an_escape_to_the_terminal(home: Home) -> None:
    line: RequestLine = HomeReader(home, "UTC").read(RequestsQuestion()).lines[0]  # type: ignore[attr-defined]
    assert reading.line(line) is line
    evil = replace(line, model="m\x1b[31m", error="\u202e", tags={"a\n": "b"})
    safe = reading.line(replace(evil, target="t\x1b"))
    assert (safe.model, safe.error, safe.tags, safe.target) == ("m?[31m", "?", {"a?": "b"}, "t?")


def test_thousands_of_requests_are_shown_two_hundred_at_a_time(home: Home) -> None:
    snapshot = HomeReader(home, "UTC").read(RequestsQuestion())
    assert isinstance(snapshot, RequestsSnapshot)
    many = tuple(replace(line, request_id=f"{line.request_id}{at}") for at in range(10) for line in snapshot.lines)
    assert table(replace(snapshot, lines=many), BY_END).tally == "showing 200 of >2,000"


def test_a_question_of_usage_reads_the_ledgers_own_sums(home: Home) -> None:
    snapshot = HomeReader(home, "UTC").read(UsageQuestion(PivotAsked("key", Stretch.WEEK)))
    pivot = snapshot.pivot  # type: ignore[attr-defined]
    assert pivot.total == home.reports.usage(pivot.since, pivot.until).total
    caps = {cap.cap.budget.scope.name for cap in snapshot.caps}  # type: ignore[attr-defined]
    assert caps == {each.budget.scope.name for each in home.budgets.list()} >= {"acme", "globex"}
