"""Every key and every palette entry of the registry, pressed in every view and over-screen, in every state.

One console for each state: a start costs more than the keys of a view.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from keyvault.errors import Unavailable
from keyvault.home import Home
from opsconsole.cli import topics
from opsconsole.readers.home import HomeReader
from opsconsole.tui.actions import CONSOLE_ACTIONS, TABLE_ACTIONS, Action, in_palette, shown
from opsconsole.tui.registry import OVER, SCREENS, WITHIN, all_actions
from opsconsole.tui.screens.request import RequestScreen
from opsconsole.tui.screens.routes import RevisionsScreen
from opsconsole.tui.screens.view_screen import ViewScreen
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.view.requests.snapshot import RequestQuestion, RequestsQuestion, RequestsSnapshot
from opsconsole.view.snapshot import Question, Snapshot
from screenshots.demo import make_home
from tests.tui.driving import RecordingConsole, press, until
from tests.tui.operating import a_home

MUST_ANSWER = {"open", "copy", "requests", "write", "its-key", "its-route", "its-upstream"}
"""Beside what changes something: these do something one can see, or say why they cannot."""


def test_no_two_actions_of_a_view_share_a_key_or_an_id() -> None:
    for name, actions in all_actions().items():
        keys = Counter((action.prefix, key) for action in actions for key in action.keys)
        ids = Counter(action.id for action in actions)
        assert not [key for key, times in (keys + Counter()).items() if times > 1], name
        assert not [each for each, times in ids.items() if times > 1], name


def test_each_action_has_a_sentence_and_a_section() -> None:
    for name, actions in all_actions().items():
        for action in actions:
            assert action.tip[0].isupper(), f"{name} {action.id}"
            assert not action.tip.endswith("."), f"{name} {action.id}"
            assert action.changes == (action.section == "change"), f"{name} {action.id}"


# A console that does not end, and a reader that can fail


class LastingConsole(RecordingConsole):
    """Writes down what is told, and that it was to end."""

    def __init__(self, reader: StatefulReader, **options: Any) -> None:
        super().__init__(reader.read, **options)
        self.told: list[str] = []
        self.left = 0
        self.read_only = self._shared.read_only

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)

    async def action_quit(self) -> None:
        self.left += 1


class StatefulReader:
    """Reads each question once; fails when it is told to."""

    def __init__(self, reader: HomeReader) -> None:
        self._reader = reader
        self.known: dict[Question, Snapshot] = {}
        self.fails = False

    def read(self, question: Any) -> Any:
        if self.fails:
            raise Unavailable("database: disk I/O error", hint="gwctl doctor")
        if question not in self.known:
            self.known[question] = self._reader.read(question)
        return self.known[question]


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, StatefulReader]]:
    root = tmp_path_factory.mktemp("homes")
    with a_home(root) as empty, closing(make_home(root / "busy")) as busy:
        homes = {"busy": busy, "empty": empty, "unset": Home({"GWCTL_HOME": str(root / "nothing"), "TZ": "UTC"})}
        yield {name: StatefulReader(HomeReader(home, "UTC")) for name, home in homes.items()}


# The states: which home, which keys before, which size, what else


STATES: dict[str, dict[str, Any]] = {
    "busy": {},
    "stale and paused": {"before": ("space",), "fails": "later", "by": "palette"},
    "filtered, too small": {"before": ("slash", "a", "enter"), "size": (50, 12)},
    "empty": {"home": "empty"},
    "not set up": {"home": "unset"},
    "never read": {"fails": "always", "by": "palette"},
    "read-only": {"read_only": True},
}
EVERYTHING: Final = "PRESS_EVERYTHING" in os.environ
ALL: Final = tuple(SCREENS | OVER | WITHIN)


@pytest.mark.parametrize("state", STATES)
async def test_every_action_runs_or_says_why_in_every_view(state: str, readers: dict[str, StatefulReader]) -> None:
    """In turns, so that every view and every state has had every key; with PRESS_EVERYTHING=1 each view's own in each
    state, which takes minutes."""
    wanted = STATES[state]
    reader = readers[wanted.get("home", "busy")]
    reader.fails = wanted.get("fails") == "always"
    console = LastingConsole(reader, read_only=wanted.get("read_only", False))
    async with console.run_test(size=wanted.get("size", (80, 24))) as pilot:
        await until(pilot, lambda: console.feed.read_at or console.feed.failure)
        for turn, name in enumerate(ALL, list(STATES).index(state)):
            screen = await reached(console, pilot, name)
            await press(pilot, *wanted.get("before", ()))
            if wanted.get("fails") == "later":
                reader.fails = True
                await press(pilot, "ctrl+r")
                await until(pilot, lambda: console.feed.failure)
            told = f"{state}: {name}"
            check_offered(console, screen, told)
            for action in in_order(chosen(screen, turn % len(STATES))):
                if wanted.get("by") == "palette" and in_palette(action):
                    await do(console, pilot, screen, action, told, "")
                    continue
                for key in action.keys:
                    await do(console, pilot, screen, action, told, key)
            reader.fails = wanted.get("fails") == "always"


def chosen(screen: ViewScreen[Any], turn: int) -> list[Action]:
    """All of the screen's own, or the share whose turn it is; of the console's always a share."""
    own = screen.ACTIONS if EVERYTHING else screen.ACTIONS[turn :: len(STATES)]
    return [*own, *CONSOLE_ACTIONS[turn :: len(STATES)]]


def in_order(actions: Iterable[Action]) -> list[Action]:
    """First what leaves the state as it is, last what leaves the screen."""
    late = ("filter", "sort", "reverse", "pause", "zoom", "failed", "back")
    return sorted(actions, key=lambda action: (action.id in late, bool(action.prefix), action.id == "back"))


async def reached(console: LastingConsole, pilot: Pilot[None], name: str) -> ViewScreen[Any]:
    """The screen, freshly opened, with what the reader says of it."""
    leave(console)
    match name:
        case "revisions":
            console.push_screen(RevisionsScreen(console._shared))
        case "request":
            console.push_screen(RequestScreen(console._shared, RequestQuestion(some_request(console))))
        case _ if name in OVER:
            console.action_over(name)
        case _:
            console.action_view(name)
    await pilot.pause()
    screen = console.view
    await until(pilot, lambda: screen.feed.read_at or screen.feed.failure)
    return screen


def some_request(console: LastingConsole) -> str:
    """One that the reader has told of; else one that there is not."""
    known = console.reader.answer.__self__.known.get(RequestsQuestion())
    return (
        known.lines[0].request_id
        if isinstance(known, RequestsSnapshot) and known.lines
        else "01JABCDEFGHJKMNPQRSTVWXYZ0"
    )


def leave(console: LastingConsole, screen: ViewScreen[Any] | None = None) -> None:
    """Close what stands on top: of a screen, or of the view."""
    while len(console.screen_stack) > 1 and console.screen is not screen:
        console.pop_screen()


async def do(
    console: LastingConsole, pilot: Pilot[None], screen: ViewScreen[Any], action: Action, told: str, key: str
) -> None:
    """Press a key, or choose from the palette, and see that what is named is done; then be back on the screen."""
    told = f"{told}: {action.id} by {key or 'palette'}"
    mode = console.current_mode
    console.ran.clear()
    before = seen(console, screen)
    if key:
        await pilot.press(*((action.prefix,) if action.prefix else ()), key)
    else:
        await next(each for each in console.get_system_commands(screen) if each.title == action.tip).callback()
    await pilot.pause()
    assert console._exception is None, told
    if console.read_only and action.changes:
        assert seen(console, screen) == before, told
    else:
        assert any(action.run in ran for ran in console.ran), f"{told} ran {console.ran}"
        if action.changes or action.id in MUST_ANSWER:
            assert seen(console, screen) != before, f"{told} said nothing"
    await back_on(console, pilot, screen, mode)


def seen(console: LastingConsole, screen: ViewScreen[Any]) -> tuple[object, ...]:
    """What a person sees of what a key has done."""
    stack = tuple(map(id, console.screen_stack))
    return console.current_mode, stack, len(console.told), console.clipboard, frozenset(screen.classes)


async def back_on(console: LastingConsole, pilot: Pilot[None], screen: ViewScreen[Any], mode: str) -> None:
    if console.current_mode != mode:
        leave(console)
        console.switch_mode(mode)
    leave(console, screen)
    if screen.is_attached and screen.query_one(FilterBar).display:
        await until(pilot, lambda: isinstance(console.focused, Input))
        await pilot.press("enter")
        await until(pilot, lambda: not screen.query_one(FilterBar).display)


def check_offered(console: LastingConsole, screen: ViewScreen[Any], told: str) -> None:
    """Palette, key bar and help name what is offered and no more."""
    offered = console.offered()
    entries = [entry.title for entry in console.get_system_commands(screen)]
    assert entries == [action.tip for action in offered if in_palette(action)], told
    hinted = {hint.action for hint in screen.query_one(KeyBar).hints}
    assert hinted <= {action.run for action in offered}, told
    assert not (console.read_only and any(action.changes for action in offered)), told


def test_the_documentation_names_every_key_of_every_view() -> None:
    page = (Path(__file__).parents[2] / "docs/console.md").read_text(encoding="utf-8")
    documented = {row[0]: row[-1] for row in re.findall(r"^\| (\w+) \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)}
    common = {action.id for action in (*CONSOLE_ACTIONS, *TABLE_ACTIONS)}
    for name, actions in all_actions().items():
        own = [each for each in actions if not (each.id in common or each.prefix or each.section == "move")]
        assert documented[name] == ", ".join(f"`{shown(each.keys[0])}` {each.id}" for each in own)


def test_help_prints_every_action_with_its_name() -> None:
    printed = topics.text("console-keys")
    for actions in all_actions().values():
        for action in actions:
            assert re.search(rf"{re.escape(action.shown_keys)} +{action.id} ", printed), action.id
