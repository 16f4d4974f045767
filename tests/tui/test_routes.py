"""The Routes view and its revisions: what they show, and every change made from them on a real home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.differences import Change, Difference
from keyvault.domain.routes import Choice, Retries, Revision, Route, Target, Timeouts
from keyvault.errors import UsageError
from keyvault.home import Home
from opsconsole.tui.deeds.routes import parse_weighted, weighted
from opsconsole.tui.screens.page import Page
from opsconsole.tui.screens.routes import REVISION_ACTIONS, ROUTES_ACTIONS, RevisionsScreen, RoutesScreen
from opsconsole.view.routes.rows import history, table
from opsconsole.view.routes.snapshot import (
    WELL,
    Condition,
    Leg,
    RevisionsQuestion,
    RevisionsSnapshot,
    RoutesQuestion,
    RoutesSnapshot,
    Step,
    legs,
)
from opsconsole.view.snapshot import Question, Snapshot, TargetTraffic
from tests.tui.driving import press, running, screen_text, until
from tests.tui.examples import NOW, SETUP
from tests.tui.operating import a_home, agree, fill, operating, refusal
from tests.tui.test_pictures import compare

GPT, MINI = Target("openai", "gpt-5"), Target("openai", "gpt-5-mini")
SONNET, LLAMA = Target("anthropic", "claude-sonnet-5"), Target("groq", "llama-4")
ROUTES = (
    Route("*", (Choice(MINI),)),
    Route("fast", (Choice(LLAMA, 9), Choice(MINI, 1, overrides={"reasoning_effort": "low"})), (Choice(SONNET),)),
    Route(
        "smart",
        (Choice(GPT),),
        (Choice(SONNET), Choice(MINI)),
        Timeouts(first_content=20, total=120),
        Retries(same_target=1),
    ),
)
CONDITIONS = {
    str(LLAMA): Condition("open", "5 failures in a row: 503 overloaded", NOW + timedelta(seconds=12)),
    str(SONNET): Condition("cooling", "429, retry after 4 s", NOW + timedelta(seconds=4)),
}
TRAFFIC = {
    str(MINI): TargetTraffic(str(MINI), 640, 2, 2.1, 180.0),
    str(GPT): TargetTraffic(str(GPT), 88, 9, 0.3, 410.0),
}
REVISION = Revision(7, NOW - timedelta(hours=3), "ops@bastion", ROUTES)
ADDED = Change("+", "route:fast", (Difference("targets", None, ["groq/llama-4"]),))
CHANGED = Change("~", "route:smart", (Difference("targets", ["openai/gpt-5-mini"], ["openai/gpt-5"]),))


def busy(question: Question) -> Snapshot:
    if isinstance(question, RevisionsQuestion):
        steps = (
            Step(REVISION, (CHANGED,), True),
            Step(replace(REVISION, number=6, created_at=NOW - timedelta(days=2), routes=ROUTES[1:]), (ADDED,), False),
        )
        return RevisionsSnapshot(question, NOW, SETUP, workers=1, steps=steps)
    rows = tuple(
        Leg(route, choice, order, share, CONDITIONS.get(str(choice.target), WELL), TRAFFIC.get(str(choice.target)))
        for route in ROUTES
        for choice, order, share in legs(route)
    )
    return RoutesSnapshot(RoutesQuestion(), NOW, SETUP, workers=1, revision=REVISION, legs=rows)


def nothing(question: Question) -> Snapshot:
    if isinstance(question, RevisionsQuestion):
        return RevisionsSnapshot(question, NOW, SETUP, workers=1)
    return RoutesSnapshot(RoutesQuestion(), NOW, SETUP, workers=1, revision=Revision(0, NOW, "", ()))


# What they show


def test_a_routes_targets_stand_in_the_order_in_which_they_are_tried() -> None:
    snapshot = busy(RoutesQuestion())
    assert isinstance(snapshot, RoutesSnapshot)
    smart = [row.key[1] for row in table(snapshot).rows if row.key[0] == "smart"]
    assert smart == ["openai/gpt-5", "anthropic/claude-sonnet-5", "openai/gpt-5-mini"]
    gets = [row.cells[2].text for row in table(snapshot).rows if row.key[0] == "fast"]
    assert gets == ["90 %", "10 %", "fallback 1"]


def test_a_target_that_is_out_has_a_symbol_a_word_and_how_long() -> None:
    snapshot = busy(RoutesQuestion())
    assert isinstance(snapshot, RoutesSnapshot)
    states = {row.key[1]: row.cells[3].text for row in table(snapshot).rows}
    assert states["groq/llama-4"] == "✖ out 12 s"
    assert states["anthropic/claude-sonnet-5"] == "▲ cooling 4.0 s"


def test_the_newest_revision_is_on_top_and_the_one_that_runs_is_marked() -> None:
    snapshot = busy(RevisionsQuestion())
    assert isinstance(snapshot, RevisionsSnapshot)
    assert [row.cells[0].text for row in history(snapshot).rows] == ["● 7", "6"]
    assert history(snapshot).rows[1].cells[3].text == "+ fast"


@pytest.mark.parametrize("text", ["openai/gpt-5=9 groq/llama-4=1", "openai/gpt-5 groq/llama-4", "ollama/llama3:8b"])
def test_targets_are_written_as_they_are_read(text: str) -> None:
    assert weighted([Choice(target, weight) for target, weight in parse_weighted(text)]) == text


@pytest.mark.parametrize("text", ["gpt-5", "openai/gpt-5=x", "openai/gpt-5=-1", "a/b a/b=2", "openai/gpt-5=9999999"])
def test_targets_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_weighted(text)


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36), (200, 60)])
async def test_it_looks_as_designed(size: tuple[int, int]) -> None:
    async with running(busy, size=size) as (console, pilot):
        await press(pilot, "4")
        await until(pilot, lambda: console.view.kept)
        compare(f"routes-{size[0]}x{size[1]}", console)


@pytest.mark.parametrize(
    ("name", "keys"), [("new", ["n"]), ("edit", ["G", "e"]), ("delete", ["D"]), ("apply", ["a"]), ("opened", ["enter"])]
)
async def test_its_dialogs_look_as_designed(name: str, keys: list[str]) -> None:
    async with running(busy) as (console, pilot):
        await press(pilot, "4")
        await until(pilot, lambda: console.view.kept)
        await press(pilot, *keys)
        compare(f"routes-{name}", console)


async def test_revisions_and_rolling_back_look_as_designed() -> None:
    async with running(busy, size=(120, 30)) as (console, pilot):
        await press(pilot, "4", "v")
        await until(pilot, lambda: console.view.kept)
        await press(pilot, "j")
        compare("routes-revisions", console)
        await press(pilot, "b")
        compare("routes-roll-back", console)
        await press(pilot, "escape", "escape")
        assert isinstance(console.view, RoutesScreen)


@pytest.mark.parametrize(("name", "keys"), [("empty", ["4"]), ("revisions-empty", ["4", "v"])])
async def test_without_routes_it_says_what_serves(name: str, keys: list[str]) -> None:
    async with running(nothing) as (console, pilot):
        await press(pilot, *keys)
        await until(pilot, lambda: console.view.kept)
        compare(f"routes-{name}", console)


async def test_nothing_can_be_changed_when_only_reading() -> None:
    async with running(busy, read_only=True) as (console, pilot):
        await press(pilot, "4")
        await until(pilot, lambda: console.view.kept)
        for action in ROUTES_ACTIONS:
            if action.changes:
                await press(pilot, action.keys[0])
                assert len(console.screen_stack) == 1, action.id
        await press(pilot, "v", "b")
        assert isinstance(console.screen, RevisionsScreen)
        assert [action.id for action in REVISION_ACTIONS if action.changes] == ["roll-back"]


# What they do, on a real home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with a_home(tmp_path) as home:
        for name in ("one", "two"):
            home.upstreams.create(name, "ollama", base_url="http://127.0.0.1:9", secret=None, allow_private=True)
        yield home


async def test_a_route_from_its_creation_to_its_return(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('[routes.other]\ntargets = ["two/x"]\n')
    async with operating(home, "routes") as (console, pilot):
        await press(pilot, "n")
        await fill(console, pilot, alias="fast", primary="one/a=9 two/b=1", fallbacks="two/c")
        assert "90 % one/a, 10 % two/b, then two/c" in screen_text(console)
        await agree(console, pilot)
        await until(pilot, lambda: console.view.leg)
        assert [choice.weight for choice in home.routes.current().routes[0].primary] == [9, 1]

        await press(pilot, "e")
        await fill(console, pilot, primary="two/b", fallbacks="")
        await agree(console, pilot)
        assert home.routes.current().routes == (Route("fast", (Choice(Target("two", "b")),)),)

        await press(pilot, "a")
        await fill(console, pilot, file=str(file))
        await agree(console, pilot)
        await until(pilot, lambda: "- fast" in screen_text(console))
        await agree(console, pilot)
        assert [route.alias for route in home.routes.current().routes] == ["other"]

        await press(pilot, "v")
        await until(pilot, lambda: isinstance(console.view, RevisionsScreen) and console.view.kept)
        await press(pilot, "b")
        await agree(console, pilot)
        assert [route.alias for route in home.routes.current().routes] == ["fast"]
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(console.view, RoutesScreen) and console.view.leg.route.alias == "fast")

        await press(pilot, "enter")
        assert isinstance(console.screen, Page)
        await press(pilot, "escape", "D")
        await agree(console, pilot)
        assert home.routes.current().routes == ()


async def test_a_file_that_is_wrong_is_refused_with_its_line_and_changes_nothing(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('[routes.x]\ntargets = ["nowhere/x"]\n')
    async with operating(home, "routes") as (console, pilot):
        for name, told in ((str(file), f"{file}:2"), (str(tmp_path / "none.toml"), "no such file")):
            await press(pilot, "a")
            await fill(console, pilot, file=name)
            await agree(console, pilot)
            assert told in refusal(console).replace("\n", "")
            await press(pilot, "escape")
    assert home.routes.current().number == 0
