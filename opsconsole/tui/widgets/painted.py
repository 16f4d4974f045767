"""`Toned`: a widget that can draw spans; `Painted`: one whose whole content is lines of spans, worked out for its size.

Lines are turned into strips directly: laying out rich content anew every second would cost ten times as much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from opsconsole.tui.theme import tones
from opsconsole.view.text import Line, Tone, cut_line

Lines = Callable[[int, int], Sequence[Line]]
"""From width and height to lines."""


class Toned(Widget):
    """Knows the style of each tone on its own background."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"base"}

    @property
    def base_style(self) -> Style:
        # A component's style, because Textual keeps those and works out the widget's own at each call.
        return self.get_component_rich_style("base")

    def tone_style(self, tone: Tone) -> Style:
        return tones(self.app.theme)[tone]

    def drawn(self, line: Line, width: int) -> Strip:
        """A line as a strip of exactly `width` cells."""
        base = self.base_style
        segments = [Segment(text, base + self.tone_style(tone)) for text, tone in line]
        return Strip(segments).adjust_cell_length(width, base)


class Painted(Toned):
    """Shows what the given function returns for its width and height."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: Lines = _nothing
        self._drawn_for: Size | None = None
        self._strips: list[Strip] = []

    def paint(self, lines: Lines) -> None:
        self._lines = lines
        self._drawn_for = None
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn_for = None

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if size != self._drawn_for:
            self._strips = [self.drawn(cut_line(line, size.width), size.width) for line in self._lines(*size)]
            self._drawn_for = size
        return self._strips[y] if y < len(self._strips) else Strip.blank(size.width, self.base_style)


def _nothing(_width: int, _height: int) -> Sequence[Line]:
    return ()
