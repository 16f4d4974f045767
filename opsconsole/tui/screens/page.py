"""A page of lines on top of a view, for what there is no room beside the table. Leaves with escape, enter or `q`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from opsconsole.tui.theme import painted
from opsconsole.view.text import Line, Span, Tone


class Page(ModalScreen[None]):
    """Shows lines."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "back", show=False),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = tuple(lines)

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static(painted(*self._lines, (), (Span("esc", Tone.ACCENT), Span(" back", Tone.FAINT))))

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
