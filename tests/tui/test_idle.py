"""While nothing happens the console hardly works: nothing is read twice, and hardly anything is painted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from textual._compositor import LayoutUpdate

from opsconsole.view.text import UNICODE
from tests.tui import examples
from tests.tui.driving import RecordingConsole, until


class WatchedConsole(RecordingConsole):
    """Remembers what it has put on the screen."""

    def __init__(self) -> None:
        super().__init__(
            lambda _question: replace(examples.busy(), taken_at=self.frozen.now()), zone=UTC, glyphs=UNICODE
        )
        self.displayed: list[Any] = []

    def _display(self, screen: Any, renderable: Any) -> None:
        self.displayed.append(renderable)
        super()._display(screen, renderable)


async def test_a_reading_without_news_paints_the_heading_alone() -> None:
    console = WatchedConsole()
    async with console.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: console.feed.read_at)
        await pilot.pause(0.1)
        console.displayed.clear()
        console.frozen.advance(seconds=1)
        console.poller.read_now()
        await until(pilot, lambda: console.feed.read_at == console.frozen.now() and console.displayed)
        assert not any(isinstance(each, LayoutUpdate) for each in console.displayed)
        assert {span[0] for each in console.displayed for span in each.spans} == {0}
