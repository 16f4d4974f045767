"""`Painted`: a widget whose whole content is lines of spans, worked out for the size it has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.widget import Widget

from opsconsole.tui.theme import painted
from opsconsole.view.text import Line, cut_line

Lines = Callable[[int, int], Sequence[Line]]
"""From width and height to lines."""


class Painted(Widget):
    """Shows what the given function returns for its width and height."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: Lines = _nothing

    def paint(self, lines: Lines) -> None:
        self._lines = lines
        self.refresh()

    def render(self) -> Content:
        width, height = self.content_size
        return painted(*(cut_line(line, width) for line in self._lines(width, height)))


def _nothing(_width: int, _height: int) -> Sequence[Line]:
    return ()
