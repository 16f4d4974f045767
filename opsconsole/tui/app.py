"""The console: holds the newest feed, the poller that brings it, and the screen that draws it.

It prints no value when it breaks (see `crash`), and nothing here or below ever holds a secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.segment import Segments
from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter, Monochrome
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen

from keyvault.clock import Clock
from keyvault.errors import GatewayError
from opsconsole.tui import crash
from opsconsole.tui.actions import CONSOLE_ACTIONS, Action, bindings, in_palette
from opsconsole.tui.ascii import AsciiFilter
from opsconsole.tui.context import Context
from opsconsole.tui.hands import Hands, HomeHands, NoHands
from opsconsole.tui.memory import Memory
from opsconsole.tui.poller import Poller, Reader
from opsconsole.tui.preferences import INTERVALS, Preferences
from opsconsole.tui.registry import SCREENS, made
from opsconsole.tui.screens.help import Help
from opsconsole.tui.screens.review import ReviewScreen
from opsconsole.tui.screens.view_screen import ViewScreen
from opsconsole.tui.theme import COLOURLESS, PALETTES, USUAL
from opsconsole.view.feed import Feed
from opsconsole.view.live.snapshot import LiveQuestion
from opsconsole.view.snapshot import Question
from opsconsole.view.table import RowKey
from opsconsole.view.text import ASCII, Glyphs, glyphs_for

if TYPE_CHECKING:
    from keyvault.home import Home

UNFOCUSED_INTERVAL: Final = 5.0
READING_PATIENCE_MS: Final = 2_000
"""How long a reading waits for whoever keeps the database to himself, before it is said that it is locked."""
USUAL_VIEW: Final = "live"


class Console(App[None]):
    """The Textual application. Give it a reader; it does the rest."""

    CSS_PATH = Path(__file__).with_name("console.tcss")
    TITLE = "gateway"
    BINDINGS: ClassVar[list[BindingType]] = bindings(CONSOLE_ACTIONS)
    DEFAULT_MODE = USUAL_VIEW
    ENABLE_COMMAND_PALETTE = True
    ALLOW_SELECT = False
    ESCAPE_TO_MINIMIZE = False

    feed: reactive[Feed] = reactive(Feed(), always_update=True, init=False, repaint=False)
    """Screens draw what changed of it; painting all of a screen anew costs more than everything else while idle."""

    class Polled(Message):
        """The poller has read; the newest of several waiting ones is enough."""

        def __init__(self, feed: Feed) -> None:
            super().__init__()
            self.feed = feed

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Console.Polled)

    def __init__(
        self,
        reader: Reader,
        hands: Hands | None = None,
        *,
        clock: Clock | None = None,
        read_only: bool = False,
        zone: tzinfo | None = None,
        glyphs: Glyphs | None = None,
        preferences: Preferences | None = None,
        memory: Memory | None = None,
        colour: bool = True,
        review: str = "",
    ) -> None:
        """`review`: a comparison whose blind review it begins with."""
        self._review = review
        wanted, remembered = preferences or Preferences(), memory or Memory()
        super().__init__()
        for name, palette in PALETTES.items():
            self.register_theme(palette.theme(name))
        usual = USUAL if colour else COLOURLESS
        self.theme = wanted.theme or (remembered.theme if remembered.theme in PALETTES else usual)
        self.set_keymap({name: ",".join(keys) for name, keys in wanted.keys.items()})
        self._interval = wanted.every or (remembered.every if remembered.every in INTERVALS else 1.0)
        self._memory = remembered
        clock = clock or Clock()
        glyphs = glyphs or glyphs_for(sys.stdout.encoding, os.environ.get("TERM", ""))
        self._grey = Monochrome(enabled=not colour)
        """Said by who starts the console, who knows more than the NO_COLOR that Textual looks at."""
        self._ascii = AsciiFilter(enabled=glyphs is ASCII)
        self._shared = Context(
            clock=clock,
            zone=zone,
            glyphs=glyphs,
            read_only=read_only,
            hands=hands or NoHands(),
            ask=self._ask,
            read_now=self.action_read_now,
            jump=self.jump,
            interval=lambda: self.interval,
            mapped=wanted.mapped,
        )
        for name in SCREENS:
            self.add_mode(name, partial(self._made, name))
        self.poller = self.make_poller(reader, clock, LiveQuestion())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every drawn line goes through."""
        usual = (each for each in super().get_line_filters() if not isinstance(each, Monochrome))
        return [*usual, *(each for each in (self._grey, self._ascii) if each.enabled)]

    def make_poller(self, reader: Reader, clock: Clock, question: Question) -> Poller:
        """The poller of this console, not yet started. Tests give one that reads only when asked."""
        return Poller(reader, self._post, clock, question, self._interval)

    def _made(self, name: str) -> ViewScreen[Any]:
        """A view, arranged as it was when the console was last left."""
        screen = made(name, self._shared)
        screen.recall(self._memory.views.get(name, {}))
        return screen

    def memory(self) -> Memory:
        """What to remember of this run."""
        views = dict(self._memory.views)
        for name, stack in self._screen_stacks.items():
            if stack and isinstance(screen := stack[0], ViewScreen):
                views[name] = screen.arrangement()
        return Memory(self.current_mode, self.theme, self._interval, views)

    def on_ready(self) -> None:
        if self._memory.view in SCREENS:
            self.switch_mode(self._memory.view)
        self.poller.start()
        self.set_interval(1.0, self._tick)
        if self._review:
            self.action_over("staging")
            self.push_screen(ReviewScreen(self._shared, self._review, alone=True))

    def on_unmount(self) -> None:
        self.poller.stop()

    # Reading

    def _post(self, feed: Feed) -> None:
        self.post_message(self.Polled(feed))

    def _ask(self, question: Question) -> None:
        self.poller.ask(question)

    def on_console_polled(self, message: Polled) -> None:
        if self.is_running:
            with self.batch_update():
                self.feed = message.feed

    def watch_feed(self, feed: Feed) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, ViewScreen):
                screen.show(feed)

    def _tick(self) -> None:
        self._shared.hands.forget_if_idle()
        if self.is_running:  # while it ends, screens lose what is on them before the timer stops
            self.view.tick()

    @property
    def view(self) -> ViewScreen[Any]:
        """The view that is on top, or below what stands on top of it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, ViewScreen))

    @property
    def interval(self) -> float:
        """Seconds between readings: as set, but slower while the terminal has no focus."""
        return self._interval if self.app_focus else max(self._interval, UNFOCUSED_INTERVAL)

    def _watch_app_focus(self, focus: bool) -> None:
        super()._watch_app_focus(focus)
        self.poller.every(self.interval)

    # What can be done

    def offered(self) -> tuple[Action, ...]:
        """Every action of the view and the console, as far as they are offered."""
        return self._shared.actions(self.view.ACTIONS)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette's entries: the actions, by their sentences."""
        for action in self.offered():
            if in_palette(action):
                yield SystemCommand(action.tip, f"key {action.shown_keys}", lambda run=action.run: self._run(run))

    async def _run(self, run: str) -> None:
        await self.view.run_action(run)

    def action_view(self, name: str) -> None:
        """Go to a view; a second time, back to where it begins."""
        if name == self.current_mode:
            while len(self.screen_stack) > 1:
                self.pop_screen()
        else:
            self.switch_mode(name)

    def action_over(self, name: str) -> None:
        """Open a log over the view; a second time it stays one."""
        if name == self.view.NAME:
            self.view.say("it is open already; esc leaves it")
        else:
            self.push_screen(made(name, self._shared))

    def jump(self, name: str, key: RowKey) -> None:
        """Go to a view and put the cursor on a row of it."""
        self.action_view(name)
        self.call_after_refresh(lambda: self.view.select(key))

    def action_theme(self) -> None:
        """The next look."""
        names = list(PALETTES)
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        self.notify(f"{self.theme} colours", timeout=2, markup=False)

    def action_help(self) -> None:
        self.push_screen(Help(self.offered()))

    def action_read_now(self) -> None:
        self.poller.read_now()

    def action_faster(self) -> None:
        self._step_interval(-1)

    def action_slower(self) -> None:
        self._step_interval(1)

    def _step_interval(self, by: int) -> None:
        at = INTERVALS.index(self._interval) + by
        if not 0 <= at < len(INTERVALS):
            self.view.say(f"it reads no {'more' if by < 0 else 'less'} often than every {self._interval:g} s")
            return
        self._interval = INTERVALS[at]
        self.poller.every(self.interval)
        self._tick()

    # Breaking

    def _fatal_error(self) -> None:
        """Leave with a report without values; Textual's own prints the locals of every frame."""
        self.bell()
        error = self._exception or sys.exc_info()[1]
        told = crash.report(error) if error is not None else "gwctl: the console stopped"
        self._exit_renderables.append(
            Segments(self.console.render(Text(told, no_wrap=True, overflow="ignore"), self.console.options))
        )
        self._close_messages_no_wait()


def run_console(home: Home, *, read_only: bool = False, colour: bool = True, review: str = "") -> None:
    """Run the console on a home until the person leaves it, in greys without `colour`; `review`: at the blind review of
    this comparison. Raises `GatewayError` if it broke."""
    from keyvault.home import Home
    from opsconsole.readers.home import HomeReader
    from opsconsole.tui import memory, preferences
    from opsconsole.tui.registry import all_actions

    wanted = preferences.load(home.paths.config / preferences.FILE, all_actions())
    kept = home.paths.state / memory.FILE

    hands = HomeHands(
        lambda prompt: Home(home.environ, home.clock, prompt=prompt, command="gwctl console"), home.clock.now
    )
    watched = Home(home.environ, home.clock, busy_timeout_ms=READING_PATIENCE_MS)
    console = Console(
        HomeReader(watched),
        None if read_only else hands,
        clock=home.clock,
        read_only=read_only,
        preferences=wanted,
        memory=memory.recall(kept),
        colour=colour,
        review=review,
    )
    try:
        console.run()
    finally:
        hands.close()
        watched.close()
        memory.remember(kept, console.memory())
    if console.return_code:
        raise GatewayError("the console stopped on an internal error", hint="the lines above say where")
