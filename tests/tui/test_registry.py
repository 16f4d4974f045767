"""Every key and every palette entry of the registry, pressed once in every view and over-screen, in every state.

One console for each state and a few views: a start costs more than many keys. Each key must do what it names or say
why it cannot, and nothing in the database changes by it; what it opened is left with escape, and then the view is as
before, with the cursor on its row.
"""

from __future__ import annotations

import gc
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from textual.widgets import Input

from keyvault.domain.rollouts import USUAL_GUARDS, Plan, guards_of
from keyvault.domain.routes import Target
from keyvault.home import Home
from opsconsole.cli import topics
from opsconsole.readers.home import HomeReader
from opsconsole.staging.runs import Runs
from opsconsole.tui.actions import CONSOLE_ACTIONS, TABLE_ACTIONS, VIEWS, Action, in_palette, shown
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.registry import OVER, SCREENS, WITHIN, all_actions
from opsconsole.tui.screens.keys import OPENED
from opsconsole.tui.screens.request import RequestScreen
from opsconsole.tui.screens.routes import RevisionsScreen
from opsconsole.tui.screens.view_screen import ViewScreen
from opsconsole.tui.screens.zoom import ZOOMS
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.view.filters import Filter
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.requests.snapshot import RequestQuestion, RequestsQuestion, RequestsSnapshot
from opsconsole.view.snapshot import Question
from opsconsole.view.table import RowKey
from opsconsole.view.text import ASCII
from screenshots.demo import make_home
from tests.tui.driving import screen_text
from tests.tui.operating import a_home
from tests.tui.pressing import LastingConsole, ScriptedReader, settle, strike


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


# The states


@dataclass(frozen=True, slots=True)
class State:
    """One of the designed states: on which home, how the console is started, and what is done in each view before.

    `composes`: whether what a key opens is put together, too; what it opens does not depend on the other states.
    """

    name: str
    home: str = "busy"
    before: tuple[str, ...] = ("j",)
    size: tuple[int, int] = (80, 24)
    reads: str = "well"
    read_only: bool = False
    colour: bool = True
    composes: bool = False


STATES: Final = (
    State("busy", composes=True),
    State("narrow", size=(60, 15)),
    State("too small", size=(50, 12)),
    State("first run", home="unset"),
    State("empty", home="empty"),
    State("loading", reads="never"),
    State("not read", reads="badly"),
    State("stale", reads="no longer"),
    State("paused", before=("j", "space")),
    State("filtered", before=("slash", "a", "enter", "j")),
    State("no colour", colour=False),
    State("read-only", read_only=True),
    State("locked", home="locked"),
)
ZOOMED: Final = {OPENED, *filter(None, ZOOMS)}
ALL: Final = tuple(SCREENS | OVER | WITHIN)


def parts() -> Iterator[Any]:
    """A state with all views; where much is put together, with one view at a time."""
    for state in STATES:
        for names in [(name,) for name in ALL] if state.composes else [ALL]:
            yield pytest.param(state, names, id=f"{state.name}, {'all' if names is ALL else names[0]}")


@dataclass(frozen=True, slots=True)
class Arranged:
    """What of a view a key may alter, and another one puts back."""

    question: Question
    arrangement: tuple[tuple[str, Any], ...]
    paused: bool
    wanted: Filter
    zoomed: frozenset[str]
    row: RowKey | None


@dataclass(frozen=True, slots=True)
class Gateway:
    """A home to press keys on."""

    home: Home
    reader: ScriptedReader

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Nobody writes into its database meanwhile."""
        path = self.home.paths.data / "gateway.db"
        if not path.exists():
            yield
            assert not path.exists()
            return
        with closing(sqlite3.connect(path)) as other:
            before = other.execute("PRAGMA data_version").fetchone()
            yield
            assert other.execute("PRAGMA data_version").fetchone() == before


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Gateway]]:
    root = tmp_path_factory.mktemp("homes")
    with a_home(root) as empty, closing(make_home(root / "busy")) as busy:
        Runs(busy.paths.state, busy.clock).begin("replay", "requests.jsonl", {})
        busy.rollouts.start("fast", Target("groq", "another"), Plan(guards=guards_of(USUAL_GUARDS)))
        environ = {"GWCTL_HOME": str(root / "busy"), "TZ": "UTC", "GWCTL_KEY_FILE": str(root / "no such file")}
        with closing(Home(environ, busy.clock)) as locked:
            unset = Home({"GWCTL_HOME": str(root / "nothing"), "TZ": "UTC"})
            homes = {"busy": busy, "empty": empty, "unset": unset, "locked": locked}
            yield {name: Gateway(home, ScriptedReader(HomeReader(home, "UTC"))) for name, home in homes.items()}


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Looking for garbage would be a third of the work."""
    gc.disable()
    yield
    gc.enable()


class NoChange:
    """Hands that must not be used: a key alone changes nothing."""

    async def carry_out(self, change: object, ask: object) -> Any:
        raise AssertionError("a key changed something by itself")

    def forget_if_idle(self) -> None:
        """There is nothing to forget."""


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(("state", "names"), list(parts()))
async def test_every_key_and_palette_entry_does_what_it_names_or_says_why_not(
    state: State, names: tuple[str, ...], gateways: dict[str, Gateway], caplog: pytest.LogCaptureFixture
) -> None:
    gateway = gateways[state.home]
    reader = gateway.reader
    reader.fails, reader.silent = state.reads == "badly", state.reads == "never"
    more: dict[str, Any] = {} if state.colour else {"glyphs": ASCII}
    console = LastingConsole(reader, hands=NoChange(), read_only=state.read_only, colour=state.colour, **more)
    with gateway.unchanged():
        async with console.run_test(size=state.size):
            for name in SCREENS:
                console.action_view(name)
                await settle(console)
            for name in names:
                await Presser(console, state, name).press_all()
    assert not caplog.records


class Presser:
    """Presses everything there is on one screen."""

    def __init__(self, console: LastingConsole, state: State, name: str) -> None:
        self._console = console
        self._state = state
        self._name = name
        self._screen: ViewScreen[Any] = console.view
        self._mode = console.current_mode
        self._told = ""
        self.pressed = 0

    async def press_all(self) -> None:
        """Painted as it is at first and at last; in between only where what is opened is composed, too."""
        await self._reach()
        self._check_offered()
        with nullcontext() if self._state.composes else self._console.batch_update():
            for action in sorted((*self._screen.ACTIONS, *CONSOLE_ACTIONS), key=_late):
                for key in action.keys:
                    await self._do(action, key)
                if in_palette(action) and action in self._console.offered():
                    await self._do(action, "")
        await settle(self._console)

    async def _reach(self) -> None:
        """The screen, freshly opened and in its state."""
        console, reads = self._console, self._state.reads
        console.composes = True
        if reads == "no longer":
            console.scripted.fails = False
        while len(console.screen_stack) > 1:
            console.pop_screen()
        self._open()
        await settle(console)
        self._screen, self._mode = console.view, console.current_mode
        await strike(console, *self._state.before)
        if reads == "no longer":
            console.scripted.fails = True
            await strike(console, "ctrl+r")
            assert self._screen.feed.failure is not None

    def _open(self) -> None:
        console = self._console
        match self._name:
            case "revisions":
                console.push_screen(RevisionsScreen(console._shared))
            case "request":
                console.push_screen(RequestScreen(console._shared, RequestQuestion(_some_request(console))))
            case name if name in OVER:
                console.action_over(name)
            case name:
                console.action_view(name)

    def _check_offered(self) -> None:
        """Palette and key bar name what is offered and no more."""
        console = self._console
        offered = console.offered()
        entries = [entry.title for entry in console.get_system_commands(console.screen)]
        assert entries == [action.tip for action in offered if in_palette(action)]
        hinted = {hint.action for hint in self._screen.query_one(KeyBar).hints}
        assert hinted <= {action.run for action in offered}
        assert not (console.read_only and any(action.changes for action in offered))

    async def _do(self, action: Action, key: str) -> None:
        """Press a key, or choose from the palette; see what comes of it; be back as before."""
        console = self._console
        self._told = f"{self._state.name}: {self._name}: {action.id} by {key or 'palette'}"
        before = self._arranged()
        seen = self._seen()
        console.ran.clear()
        console.composes = self._state.composes and key == action.keys[0]
        if key:
            await strike(console, *((action.prefix,) if action.prefix else ()), key)
        else:
            entries = console.get_system_commands(console.screen)
            await next(each for each in entries if each.title == action.tip).callback()
            await settle(console)
        self.pressed += 1
        if console.read_only and action.changes:
            assert self._seen() == seen, self._told
        else:
            assert any(action.run in ran for ran in console.ran), f"{self._told} ran {console.ran}"
            assert self._seen() != seen or self._may_be_quiet(action), f"{self._told} said nothing"
        await self._put_back(action, before)

    def _may_be_quiet(self, action: Action) -> bool:
        """Moving at the end of a table, escape where there is nothing to leave, and a view's own key."""
        return action.section == "move" or action.id in ("back", f"view-{self._console.current_mode}")

    def _seen(self) -> tuple[object, ...]:
        """What a person sees of what a key has done."""
        console, screen = self._console, self._screen
        around = (console.current_mode, len(console.opened), len(console.screen_stack), len(console.told), console.left)
        return (
            *around,
            console.clipboard,
            console.theme,
            console.poller.readings,
            self._arranged(),
            _filtering(screen),
        )

    def _arranged(self) -> Arranged:
        screen = self._screen
        return Arranged(
            screen.question,
            tuple(screen.arrangement().items()),
            screen.paused,
            screen.wanted,
            screen.classes & ZOOMED,
            screen.rows.cursor_key if screen.is_attached else None,
        )

    async def _put_back(self, action: Action, before: Arranged) -> None:
        """Leave what was opened, with the keys one has for it; the cursor must be on its row. Then undo the rest."""
        console = self._console
        for _ in range(3):
            if console.current_mode != self._mode:
                await strike(console, VIEWS[self._mode] if isinstance(console.screen, ViewScreen) else "escape")
            elif console.screen is not self._screen and self._screen in console.screen_stack:
                await strike(console, "escape")
        if self._screen not in console.screen_stack:
            assert action.id in ("back", f"view-{self._mode}"), self._told
            await self._reach()
        assert console.screen is self._screen, f"{self._told}: {console.screen}"
        if _filtering(self._screen):
            await strike(console, "enter")
            assert not _filtering(self._screen), self._told
        after = self._arranged()
        if action.section != "move" and after.question == before.question:
            assert after.row == before.row, self._told
        if after != before:
            await self._arrange(before)

    async def _arrange(self, before: Arranged) -> None:
        console, screen = self._console, self._screen
        asked = screen.question
        screen.recall(dict(before.arrangement))
        screen.question, screen.paused = asked, before.paused
        screen.ask(before.question)
        screen.draw()
        screen.query_one(FilterBar).query_one(Input).value = before.wanted.text
        await settle(console)
        for _ in ZOOMED:
            if screen.classes & ZOOMED != before.zoomed:
                await strike(console, "z")
        if before.row is not None:
            screen.rows.select(before.row)
            await settle(console)
        assert self._arranged() == before, self._told


def _late(action: Action) -> int:
    """Last comes what makes the views style themselves anew when they are next seen, and what leaves the screen."""
    return ("theme", "back").index(action.id) + 1 if action.id in ("theme", "back") else 0


def _filtering(screen: ViewScreen[Any]) -> bool:
    return screen.is_attached and screen.query_one(FilterBar).display


def _some_request(console: LastingConsole) -> str:
    """One that the reader has told of; else one that there is not."""
    known = console.scripted.known.get(RequestsQuestion())
    if isinstance(known, RequestsSnapshot) and known.lines:
        return known.lines[0].request_id
    return "01JABCDEFGHJKMNPQRSTVWXYZ0"


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


# The first steps


async def test_n_on_the_page_of_a_new_gateway_takes_its_next_step(gateways: dict[str, Gateway]) -> None:
    reader = gateways["empty"].reader
    reader.fails = reader.silent = False
    console = LastingConsole(reader)
    async with console.run_test(size=(80, 24)):
        await settle(console)
        await strike(console, "n")
        assert isinstance(console.screen, DeedDialog)
        assert "New upstream" in screen_text(console)
        await strike(console, "escape")
        known = reader.known[LiveQuestion()]
        reader.known[LiveQuestion()] = replace(known, setup=replace(known.setup, upstreams=("openai",)))
        await strike(console, "ctrl+r", "n")
        assert console.current_mode == "keys"
        assert isinstance(console.screen, DeedDialog)
        assert "New key" in screen_text(console)
    reader.known.clear()
