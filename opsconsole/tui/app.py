"""The console: holds the newest feed, the poller that brings it, and the screen that draws it.

It prints no value when it breaks (see `crash`), and nothing here or below ever holds a secret.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segments
from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen

from keyvault.clock import Clock
from keyvault.errors import GatewayError
from opsconsole.tui import crash
from opsconsole.tui.actions import CONSOLE_ACTIONS, LIVE_ACTIONS, Action, bindings, in_palette
from opsconsole.tui.context import Context
from opsconsole.tui.poller import Poller, Reader
from opsconsole.tui.screens.help import Help
from opsconsole.tui.screens.live import LiveScreen
from opsconsole.tui.theme import THEME
from opsconsole.view.feed import Feed
from opsconsole.view.snapshot import Question
from opsconsole.view.text import Glyphs, glyphs_for

if TYPE_CHECKING:
    from keyvault.home import Home

INTERVALS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
UNFOCUSED_INTERVAL: Final = 5.0


class Console(App[None]):
    """The Textual application. Give it a reader; it does the rest."""

    CSS_PATH = Path(__file__).with_name("console.tcss")
    TITLE = "gateway"
    BINDINGS: ClassVar[list[BindingType]] = bindings(CONSOLE_ACTIONS)
    ENABLE_COMMAND_PALETTE = True
    ALLOW_SELECT = False
    ESCAPE_TO_MINIMIZE = False

    feed: reactive[Feed] = reactive(Feed(), always_update=True, init=False)

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
        *,
        clock: Clock | None = None,
        read_only: bool = False,
        zone: tzinfo | None = None,
        glyphs: Glyphs | None = None,
    ) -> None:
        super().__init__()
        self.register_theme(THEME)
        self.theme = THEME.name
        self._interval = 1.0
        clock = clock or Clock()
        self._shared = Context(
            clock=clock,
            zone=zone,
            glyphs=glyphs or glyphs_for(sys.stdout.encoding, os.environ.get("TERM", "")),
            read_only=read_only,
            ask=self._ask,
            interval=lambda: self.interval,
        )
        self.poller = self.make_poller(reader, clock)
        self.live = LiveScreen(self._shared)

    def make_poller(self, reader: Reader, clock: Clock) -> Poller:
        """The poller of this console, not yet started. Tests give one that reads only when asked."""
        return Poller(reader, self._post, clock, Question(), self._interval)

    def get_default_screen(self) -> Screen[None]:
        return self.live

    def on_ready(self) -> None:
        self.poller.start()
        self.set_interval(1.0, self.live.tick)

    def on_unmount(self) -> None:
        self.poller.stop()

    # Reading

    def _post(self, feed: Feed) -> None:
        self.post_message(self.Polled(feed))

    def _ask(self, question: Question) -> None:
        self.poller.ask(question)

    def on_console_polled(self, message: Polled) -> None:
        with self.batch_update():
            self.feed = message.feed

    def watch_feed(self, feed: Feed) -> None:
        self.live.show(feed)

    @property
    def interval(self) -> float:
        """Seconds between readings: as set, but slower while the terminal has no focus."""
        return self._interval if self.app_focus else max(self._interval, UNFOCUSED_INTERVAL)

    def _watch_app_focus(self, focus: bool) -> None:
        super()._watch_app_focus(focus)
        self.poller.every(self.interval)

    # What can be done

    def offered(self) -> tuple[Action, ...]:
        """Every action of the console, as far as it is offered."""
        return self._shared.actions(LIVE_ACTIONS)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette's entries: the actions, by their sentences."""
        for action in self.offered():
            if in_palette(action):
                yield SystemCommand(action.tip, f"key {action.shown_keys}", lambda run=action.run: self._run(run))

    async def _run(self, run: str) -> None:
        await self.live.run_action(run)

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
        self._interval = INTERVALS[max(0, min(at, len(INTERVALS) - 1))]
        self.poller.every(self.interval)
        self.live.tick()

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


def run_console(home: Home, *, read_only: bool = False) -> None:
    """Run the console on a home until the person leaves it. Raises `GatewayError` if it broke."""
    from opsconsole.tui.reader import HomeReader

    console = Console(HomeReader(home), clock=home.clock, read_only=read_only)
    console.run()
    if console.return_code:
        raise GatewayError("the console stopped on an internal error", hint="the lines above say where")
