"""The first lines of every view: where one looks and how fresh it is, and below, while reading fails, why."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from opsconsole.tui.widgets.painted import Painted
from opsconsole.view import chrome, feed
from opsconsole.view.text import UNICODE, Glyphs


class HeadingBar(Vertical):
    """Two lines, the second only when there is something wrong."""

    def __init__(self, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield Painted(id="heading")
        yield Painted(id="banner")

    def tell(self, told: chrome.Heading) -> None:
        self.query_one("#heading", Painted).paint(lambda width, _: (chrome.heading(told, width, self._glyphs),))
        problem = feed.banner(told.feed, told.now, self._glyphs)
        banner = self.query_one("#banner", Painted)
        banner.display = problem is not None
        banner.paint(lambda _width, _height: (problem,) if problem else ())
