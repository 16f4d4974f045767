"""A console on which many keys are pressed one after the other, each in a few milliseconds.

It reads at once, in the loop's own thread, so that what a key brings about is over when the loop has nothing more to
do: `settle` waits for just that, where `Pilot.pause` waits for the whole process to be idle for some time.
"""

from __future__ import annotations

import asyncio
import unicodedata
from typing import Any

from textual import events
from textual.dom import DOMNode
from textual.keys import REPLACED_KEYS, _get_unicode_name_from_key
from textual.screen import Screen
from textual.widget import AwaitMount

from keyvault.clock import Clock
from keyvault.errors import Unavailable
from opsconsole.tui.app import Console
from opsconsole.tui.poller import Poller
from opsconsole.tui.screens.menu import Menu
from opsconsole.view.feed import Feed
from opsconsole.view.snapshot import Question, Snapshot
from tests.tui.driving import RecordingConsole

SPINS = 20_000
"""Turns of the loop after which a console that does not come to rest is taken for hung."""


class ScriptedReader:
    """Reads each question once, from a home's reader; `silent` it never answers, and it fails when it is told to."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.known: dict[Question, Snapshot] = {}
        self.fails = False
        self.silent = False

    def read(self, question: Any) -> Any:
        if self.fails:
            raise Unavailable("database: disk I/O error", hint="gwctl doctor")
        if question not in self.known:
            self.known[question] = self._reader.read(question)
        return self.known[question]


class PromptPoller(Poller):
    """Reads when it is asked, at once and in the thread that asks."""

    _reader: ScriptedReader
    feed = Feed()
    readings = 0

    def start(self) -> None:
        self.read_now()

    def ask(self, question: Question) -> None:
        super().ask(question)
        self.read_now()

    def every(self, seconds: float) -> None:
        super().every(seconds)
        self.read_now()

    def read_now(self) -> None:
        self.readings += 1
        if not self._reader.silent:
            self.feed, _ = self.step(self.feed)
            self._post(self.feed)

    def stop(self) -> None:
        """There is no thread to stop."""


class LastingConsole(RecordingConsole):
    """Writes down what it is told, what it would put on top, and that it was to end.

    `composes`: whether what is opened is put together, and the style sheet applied to what changes; that is most of the
    work of a key, and the same in every state.
    """

    poller: PromptPoller

    def __init__(self, reader: ScriptedReader, **options: Any) -> None:
        super().__init__(reader.read, **options)
        self.poller._reader = reader
        self.scripted = reader
        self.read_only = self._shared.read_only
        self.composes = True
        self.opened: list[Screen[Any]] = []
        self.told: list[str] = []
        self.left = 0

    def make_poller(self, reader: Any, clock: Clock, question: Question) -> PromptPoller:
        return PromptPoller(reader, self._post, clock, question)

    def push_screen(self, screen: Any, *args: Any, **options: Any) -> Any:
        self.opened.append(screen)
        if self.composes or isinstance(screen, Menu):
            return super().push_screen(screen, *args, **options)
        return AwaitMount(self.screen, [])

    def notify(self, message: str, **_options: Any) -> None:
        self.told.append(message)

    def refresh_css(self, animate: bool = True) -> None:
        if self.composes:
            super().refresh_css(animate=animate)

    def update_styles(self, node: DOMNode, animate: bool = True) -> None:
        if self.composes:
            super().update_styles(node, animate=animate)

    def delay_update(self, delay: float = 0.05) -> None:
        """Nothing is hidden for a moment, as Textual would do while views change."""

    async def action_quit(self) -> None:
        self.left += 1


async def settle(console: Console) -> None:
    """Wait until all messages are dealt with and, unless the console holds that back, what has changed is painted."""
    loop = asyncio.get_running_loop()
    for _ in range(SPINS):
        await asyncio.sleep(0)
        if loop._ready:  # type: ignore[attr-defined] # what tells best that nothing is left to do
            continue
        screen = console.screen
        if not screen._callbacks and (console._batch_count or not screen.is_current or not _changed(screen)):
            break
        screen._on_timer_update()
    else:
        raise AssertionError("the console does not come to rest")
    if console._exception is not None:
        raise console._exception


def _changed(screen: Screen[Any]) -> bool:
    return bool(screen._layout_required or screen._scroll_required or screen._repaint_required or screen._dirty_widgets)


async def strike(console: Console, *keys: str) -> None:
    """Press keys, each when all that the one before has brought about is over."""
    for key in keys:
        character: str | None
        try:
            character = unicodedata.lookup(_get_unicode_name_from_key(REPLACED_KEYS.get(key, key)))
        except KeyError:
            character = key if len(key) == 1 else None
        event = events.Key(key, character)
        event.set_sender(console)
        assert console._driver is not None
        console._driver.send_message(event)
        await settle(console)
