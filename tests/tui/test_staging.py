"""The Staging screen: what is on trial, what was found, and everything that can be done about it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyvault.domain.captures import Plan as CapturePlan
from keyvault.domain.drills import Fault
from keyvault.domain.rollouts import Plan, State, Verdict, guards_of
from keyvault.domain.routes import Target
from keyvault.home import Home
from opsconsole.readers.home import HomeReader
from opsconsole.staging.runs import Runs
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.screens.report_page import ReportPage
from opsconsole.tui.screens.review import ReviewScreen
from opsconsole.tui.screens.staging import StagingScreen
from opsconsole.view.paper import Paper, Table
from opsconsole.view.snapshot import Question
from opsconsole.view.staging import blind, reports
from opsconsole.view.staging.beside import beside
from opsconsole.view.staging.page import lines
from opsconsole.view.staging.rows import rows
from opsconsole.view.staging.snapshot import StagingQuestion, StagingSnapshot
from opsconsole.view.text import Tone, plain, width
from tests.staging.test_comparing import Place, begin, carried_out, plan, prompts
from tests.tui import examples, staging_examples
from tests.tui.driving import press, running, screen_text, until
from tests.tui.operating import a_home, agree, fill, operating, refusal
from tests.tui.staging_examples import rollout, status
from tests.tui.test_pictures import compare

ALONE = staging_examples.run("check", 1, "here", "passed", 0)


def answer(question: Question) -> Any:
    return staging_examples.busy(question) if isinstance(question, StagingQuestion) else examples.busy()


# Pictures


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36)])
async def test_what_is_on_trial_stands_above_what_was_found(size: tuple[int, int]) -> None:
    async with running(answer, size=size) as (console, pilot):
        await press(pilot, "E")
        await until(pilot, lambda: console.view.NAME == "staging" and console.view.kept)
        compare(f"staging-{size[0]}x{size[1]}", console)


async def test_a_breached_guard_and_a_paused_rollout_are_plain_to_see() -> None:
    broken = status(rollout(9, "smart", State.PAUSED), 60, Verdict.BREACHED)

    def two(question: Question) -> Any:
        if isinstance(question, StagingQuestion):
            return staging_examples.busy(question, status(rollout()), broken)
        return examples.busy()

    async with running(two, size=(120, 36)) as (console, pilot):
        await press(pilot, "E")
        await until(pilot, lambda: console.view.NAME == "staging" and console.view.kept)
        await press(pilot, "j")
        compare("staging-breached", console)


async def test_where_nothing_was_tried_it_says_what_can_be() -> None:
    def nothing(question: Question) -> Any:
        if isinstance(question, StagingQuestion):
            return StagingSnapshot(question, examples.NOW, examples.SETUP, workers=1)
        return examples.busy()

    async with running(nothing) as (console, pilot):
        await press(pilot, "E")
        await until(pilot, lambda: console.view.NAME == "staging" and console.view.kept)
        compare("staging-empty", console)


# The pure part


def test_what_does_something_to_traffic_comes_first() -> None:
    found = rows(staging_examples.busy(StagingQuestion()))
    ranked = sorted((row.rank, row.kind) for row in found if row.rank)
    assert ranked == [(1, "capture"), (2, "drill"), (3, "rollout")]


def test_every_row_has_something_to_say_beside_it() -> None:
    snapshot = staging_examples.busy(StagingQuestion())
    for row in rows(snapshot):
        told = beside(snapshot, row.key, 40)
        assert told, row
        assert max(map(width, told)) <= 40


def test_a_report_is_folded_to_the_width_and_harmless() -> None:
    table = Table("Probes", ("probe", "verdict", "ms"), (("chat \x1b[2J" + "word " * 20, "✖ differs", "1,204"),), 2)
    paper = Paper("Check \x07", (("asked", "http://" + "x" * 90),), (table,), ("a remark " * 12,), ("✖ it failed",))
    for room in (26, 54, 110):
        told = lines(paper, room)
        assert max(map(width, told)) <= room
        assert all(plain(line).isprintable() for line in told)
    assert [span.tone for line in told for span in line if "differs" in span.text] == [Tone.ALARM]


def test_what_models_say_cannot_act_on_the_terminal() -> None:
    told = blind.told("one\r\n\ttwo\x1b]0;owned\x07\u202ethree")
    assert [plain(line) for line in told] == ["one", "    two?]0;owned??three"]
    assert plain(blind.told(" \n")[0]) == "(empty)"


def test_a_drill_s_page_says_what_held_and_who_served() -> None:
    made = [
        {"target": "a/m", "outcome": "failed", "error_code": "http_500", "charge_pico": 0},
        {"target": "b/m", "outcome": "served", "error_code": None, "charge_pico": 120_000_000},
    ]
    one = {"number": 1, "stream": True, "status": 200, "saw": "answered", "total_ms": 120.0, "attempts": made}
    checks = [{"name": "charged once", "held": False, "evidence": "1 is charged twice"}]
    paper = reports.drill(ALONE, {"title": "fast", "tried": [one], "checks": checks})
    promises, requests = paper.tables
    assert promises.rows == (("✖ charged once", "1 is charged twice"),)
    assert requests.rows[0] == ("answered", "a/m (http_500) > b/m (served)", "stream", "1", "200", "120", "0.00012")


# On a home


def furnished(home: Home) -> Runs:
    """A home with a route, a key and two upstreams."""
    for name in ("one", "two"):
        home.upstreams.create(name, "ollama", base_url="http://127.0.0.1:9", secret=None, allow_private=True)
    home.routes.set("fast", [Target("one", "m")])
    home.keys.create("ci-bot", project="acme/app", create_missing=True)
    return Runs(home.paths.state, home.clock)


def test_the_reader_tells_what_runs_and_what_was_found(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        runs = furnished(home)
        home.rollouts.start("fast", Target("two", "m"), Plan(guards=guards_of(["error_rate < +1%"])))
        home.drills.start("ci-bot", Target("one", "m"), Fault.SLOW, timedelta(minutes=5))
        home.captures.start(None, sample_ppm=1_000, lasts=timedelta(hours=1), plan=CapturePlan(10, 10**6, 60))
        replay = runs.begin("replay", "requests.jsonl", {})
        began_ms = home.clock.now_ms()
        while home.clock.now_ms() == began_ms:  # runs of one millisecond are in no order
            pass
        compared = begin(runs, plan(prompts(3)))
        carried_out(runs, compared, Place(lambda model, _: "yes" if model == "a" else "no"))
        reader = HomeReader(home, "UTC")

        def read(opened: tuple[str, ...] | None = None) -> StagingSnapshot:
            found = reader.read(StagingQuestion(opened))
            assert isinstance(found, StagingSnapshot)
            return found

        first = read()
        assert [each.rollout.alias for each in first.trials] == ["fast"]
        assert [(each.kind, each.items) for each in first.runs] == [("compare", 6), ("replay", 0)]
        assert (first.names.aliases, first.names.keys) == (("fast",), ("ci-bot",))
        replay.add("one", {"status": 200})
        second = read()
        assert [each.items for each in second.runs] == [6, 1]
        assert second.runs[0] is first.runs[0]  # not read again
        for row in rows(second):
            paper = read(row.key).paper
            assert paper is not None, row.key
            assert lines(paper, 60)
        assert read(("01gone", "replay")).paper is None


@pytest.fixture
def home(tmp_path: Path):  # type: ignore[no-untyped-def]
    with a_home(tmp_path) as made:
        furnished(made)
        yield made


async def carried_on(console, pilot, pressed: str, /, **values: str) -> None:  # type: ignore[no-untyped-def]
    """Press a key, fill the dialog that comes, agree, leave what is told."""
    await press(pilot, pressed)
    assert isinstance(console.screen, DeedDialog), (pressed, screen_text(console))
    await fill(console, pilot, **values)
    await agree(console, pilot)
    assert not refusal(console), refusal(console)
    if isinstance(console.screen, ReportPage):
        await press(pilot, "escape")


async def opened(console, pilot) -> StagingScreen:  # type: ignore[no-untyped-def]
    await press(pilot, "E")
    await until(pilot, lambda: isinstance(console.view, StagingScreen) and console.view.kept)
    view = console.view
    assert isinstance(view, StagingScreen)
    return view


async def test_a_rollout_is_started_stepped_paused_and_finished_by_keys(home: Home) -> None:
    async with operating(home, "live") as (console, pilot):
        view = await opened(console, pilot)
        await press(pilot, "n")
        await fill(console, pilot, alias="fast", to="two/m", steps="5,100", guards="error_rate < 1")
        assert console.screen.query_one("#do").disabled  # a guard that is none
        await fill(console, pilot, guards="error_rate < +1%")
        await agree(console, pilot)
        await until(pilot, lambda: isinstance(console.screen, ReportPage))
        assert "nobody asked for it in the last day" in screen_text(console)
        await press(pilot, "escape")
        await until(pilot, lambda: view.status)
        await carried_on(console, pilot, "x")
        assert home.rollouts.live()[0].state is State.PAUSED
        await until(pilot, lambda: "‖ paused" in screen_text(console))
        await carried_on(console, pilot, "x")
        await until(pilot, lambda: view.status and view.status.rollout.state is State.RUNNING)
        await carried_on(console, pilot, "a")
        assert home.rollouts.live()[0].share_ppm == 1_000_000
        await until(pilot, lambda: view.status and view.status.rollout.last_step)
        await carried_on(console, pilot, "f", keep="on")
        [route] = home.routes.current().routes
        assert [str(choice.target) for choice in route.choices] == ["two/m", "one/m"]


async def test_what_is_on_trial_is_shown_and_taken_out_from_its_route(home: Home) -> None:
    async with operating(home, "routes") as (console, pilot):
        await carried_on(console, pilot, "O", to="two/m")
        await until(pilot, lambda: "● 5 % → two/m" in screen_text(console))
        await press(pilot, "o")
        await until(pilot, lambda: isinstance(console.view, StagingScreen) and console.view.kept)
        assert console.view.rows.cursor_key == ("fast", "rollout", "1")
        await press(pilot, "escape")
        await carried_on(console, pilot, "b", reason="too terse")
        assert [(each.state, each.reason) for each in home.rollouts.list()] == [(State.ROLLED_BACK, "too terse")]
        await press(pilot, "d")
        assert "Have a target fail for one key" in screen_text(console)
        assert "one/m" in screen_text(console)


async def test_drills_captures_and_reports_begin_and_end_by_keys(home: Home) -> None:
    run = Runs(home.paths.state, home.clock).begin("replay", "requests.jsonl", {})
    async with operating(home, "live") as (console, pilot):
        view = await opened(console, pilot)
        await carried_on(console, pilot, "d", key="ci-bot", target="one/m", fault="slow")
        await until(pilot, lambda: view.kept and view.kept.drills)
        await press(pilot, "home")
        await carried_on(console, pilot, "x")
        assert not home.drills.running()
        await until(pilot, lambda: view.kept and not view.kept.drills)
        await carried_on(console, pilot, "c", scope="all", sample="1%")
        assert home.captures.running()[0].plan.redact == ("email", "phone", "card")
        await until(pilot, lambda: view.kept and view.kept.taken)
        await press(pilot, "home")
        await carried_on(console, pilot, "x")
        await until(pilot, lambda: view.kept and view.kept.taken[0].ended)
        view.select(("capture:1",))
        await carried_on(console, pilot, "D", **{"typed-name": "capture:1"})
        assert not home.captures.list()
        view.select((run.id,))
        await carried_on(console, pilot, "D", **{"typed-name": run.id[-8:]})
        assert not run.directory.exists()


async def test_enter_opens_the_report_and_escape_comes_back_to_its_row(home: Home, to_review: str) -> None:
    Runs(home.paths.state, home.clock).begin("replay", "requests.jsonl", {})
    async with operating(home, "live", size=(80, 24)) as (console, pilot):
        view = await opened(console, pilot)
        await press(pilot, "j", "enter")
        await until(pilot, lambda: isinstance(console.screen, ReportPage))
        assert "nothing tells which answers are better" in screen_text(console)
        await press(pilot, "escape")
        assert (view.rows.cursor_key, view.question) == ((to_review, "compare"), StagingQuestion())


async def test_nothing_of_it_can_be_changed_when_only_reading(home: Home, to_review: str) -> None:
    async with operating(home, "live", read_only=True) as (console, pilot):
        view = await opened(console, pilot)
        assert view.rows.cursor_key == (to_review, "compare")
        await press(pilot, *"naxbfdcvD")
        assert console.screen is view


# Blind review


@pytest.fixture
def to_review(home: Home) -> str:
    """A comparison whose answers only a person can tell apart."""
    runs = Runs(home.paths.state, home.clock)
    run = begin(runs, plan(prompts(3, right=None)))
    carried_out(runs, run, Place(lambda model, asked: f"the {'good' if model == 'b' else 'poor'} answer to {asked}"))
    return run.id


async def reviewing(console, pilot) -> ReviewScreen:  # type: ignore[no-untyped-def]
    await press(pilot, "v")
    screen = console.screen
    assert isinstance(screen, ReviewScreen)
    await until(pilot, lambda: screen.shown)
    return screen


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 36)])
async def test_a_review_shows_two_answers_and_no_names(home: Home, to_review: str, size: tuple[int, int]) -> None:
    async with operating(home, "live", size=size) as (console, pilot):
        await opened(console, pilot)
        screen = await reviewing(console, pilot)
        long = "\n".join(f"line {at} of a long answer" for at in range(60))
        screen._draw(blind.Shown(to_review, "extract", "Which is it?\n" * 3, long, "short", 3, 9, 1))
        await pilot.pause()
        compare(f"review-{size[0]}x{size[1]}", console)  # type: ignore[arg-type]
        await press(pilot, "j", "j")
        assert "line 0 of" not in screen_text(console)


async def test_a_review_is_decided_by_one_key_each_and_tells_who_won_at_its_end(home: Home, to_review: str) -> None:
    async with operating(home, "live") as (console, pilot):
        await opened(console, pilot)
        screen = await reviewing(console, pilot)

        async def decide(key: str, pending: int) -> None:
            before = screen.shown
            await press(pilot, key)
            await until(pilot, lambda: not screen._working and screen.shown is not before)
            assert screen.shown is not None
            assert screen.shown.pending == pending

        first = screen.shown
        assert first is not None
        await decide("s", 3)
        assert (screen.shown.id == first.id, screen.shown.put_off) == (False, 1)
        await decide("u", 3)
        assert (screen.shown.id == first.id, screen.shown.put_off) == (True, 0)
        await decide("1" if "good" in first.left else "2", 2)
        await decide("equals_sign", 1)
        await decide("u", 2)
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(console.screen, ReportPage))
        assert "1 pairs, 2 pending" in screen_text(console)
        await press(pilot, "escape")
        screen = await reviewing(console, pilot)  # where it was left
        assert screen.shown is not None
        assert screen.shown.decided == 1
        await decide("1" if "good" in screen.shown.left else "2", 1)
        await press(pilot, "1" if "good" in screen.shown.left else "2")
        await until(pilot, lambda: isinstance(console.screen, ReportPage))
        assert "b / " not in screen_text(console)
        assert "3 pairs" in screen_text(console)


async def test_a_review_can_be_what_the_console_begins_with(home: Home, to_review: str) -> None:
    async with operating(home, "staging", review=to_review) as (console, pilot):
        screen = console.screen
        assert isinstance(screen, ReviewScreen)
        await until(pilot, lambda: screen.shown)
        await press(pilot, "escape")
        await until(pilot, lambda: isinstance(console.screen, StagingScreen))
        assert console.view.rows.cursor_key == (to_review, "compare")


async def test_a_review_that_another_process_makes_is_left_alone(home: Home, to_review: str) -> None:
    other = Runs(home.paths.state, home.clock).open("compare", to_review)
    other.add("mine", {"kind": "other"})
    async with operating(home, "live") as (console, pilot):
        await opened(console, pilot)
        screen = await reviewing(console, pilot)
        await press(pilot, "1")
        await until(pilot, lambda: not screen._working)
        assert screen.shown is not None
        assert screen.shown.decided == 0
        other.release()
        await press(pilot, "1")
        await until(pilot, lambda: screen.shown and screen.shown.decided == 1)
