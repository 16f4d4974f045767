"""The first lines of every view: where one looks, how fresh it is, the other views, and, while reading fails, why."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip

from opsconsole.tui.actions import view_tabs
from opsconsole.tui.widgets.painted import Painted, Toned
from opsconsole.view import chrome, feed
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone


class HeadingBar(Vertical):
    """Two lines, and a third when there is something wrong."""

    def __init__(self, current: str, glyphs: Glyphs = UNICODE) -> None:
        """`current`: the name of the view it stands on."""
        super().__init__()
        self._current = current
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield Painted(id="heading")
        yield TabBar(self._current)
        yield Painted(id="banner")

    def tell(self, told: chrome.Heading) -> None:
        self.query_one("#heading", Painted).paint(lambda width, _: (chrome.heading(told, width, self._glyphs),))
        problem = feed.banner(told.feed, told.now, self._glyphs)
        banner = self.query_one("#banner", Painted)
        banner.display = problem is not None
        banner.paint(lambda _width, _height: (problem,) if problem else ())


class TabBar(Toned):
    """The views, each with its key; a click opens it."""

    def __init__(self, current: str) -> None:
        super().__init__(id="tabs")
        self._current = current

    def render_line(self, y: int) -> Strip:
        spans: list[Span] = []
        end = 0
        for at, tab in chrome.tabs(view_tabs(), self.content_size.width):
            here = tab.name.lower() == self._current
            spans += [
                Span(" " * (at - end)),
                Span(tab.key, Tone.ACCENT),
                Span(f" {tab.name}", Tone.STRONG if here else Tone.FAINT),
            ]
            end = at + len(tab.key) + 1 + len(tab.name)
        return self.drawn(tuple(spans), self.content_size.width)

    async def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        if place is None:
            return
        for at, tab in chrome.tabs(view_tabs(), self.content_size.width):
            if at <= place.x <= at + len(tab.key) + len(tab.name):
                await self.run_action(tab.action)
