"""Driving the console in tests: started on a fake reader with a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC
from typing import Any

from textual.pilot import Pilot

from keyvault.clock import Clock
from opsconsole.tui.app import Console
from opsconsole.tui.poller import Poller, Reader
from opsconsole.view.feed import Feed
from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot
from opsconsole.view.snapshot import Question
from opsconsole.view.text import UNICODE
from tests.conftest import FrozenClock
from tests.tui import examples
from tests.tui.examples import FakeReader
from tests.tui.stylesheet import parse_once

Answer = Callable[[LiveQuestion], LiveSnapshot]
NORMAL = (80, 24)


class PatientPoller(Poller):
    """Reads only when asked, so that nothing happens between two steps of a test."""

    def step(self, before: Feed) -> tuple[Feed, float]:
        return super().step(before)[0], 3600.0


class RecordingConsole(Console):
    """Remembers every action that was run; reads only when asked."""

    def __init__(self, answer: Answer = examples.busy, **options: Any) -> None:
        self.frozen = FrozenClock()
        self.reader = FakeReader(answer)
        super().__init__(self.reader, **{"clock": self.frozen, "zone": UTC, "glyphs": UNICODE, **options})
        self.ran: list[str] = []
        parse_once(self)

    def make_poller(self, reader: Reader, clock: Clock, question: Question) -> Poller:
        return PatientPoller(reader, self._post, clock, question)

    async def run_action(self, action, default_namespace=None, namespaces=None):  # type: ignore[no-untyped-def]
        self.ran.append(action if isinstance(action, str) else str(action))
        return await super().run_action(action, default_namespace, namespaces)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait for what another thread brings about; the test's timeout is the limit."""
    while not condition():
        await pilot.pause(0.005)
    await pilot.pause()


@asynccontextmanager
async def running(
    answer: Answer = examples.busy, *, size: tuple[int, int] = NORMAL, **options: Any
) -> AsyncIterator[tuple[RecordingConsole, Pilot[None]]]:
    """A console that has drawn its first reading; `options` are the console's own."""
    console = RecordingConsole(answer, **options)
    async with console.run_test(size=size) as pilot:
        await until(pilot, lambda: console.feed.read_at or console.feed.failure)
        yield console, pilot


def screen_text(console: Console) -> str:
    """What is on the screen, without trailing space."""
    strips = console.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
