"""A report on top of a view, folded to the width there is. Leaves with escape, enter or `q`."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from opsconsole.tui.theme import painted
from opsconsole.view.paper import Paper
from opsconsole.view.staging.page import lines
from opsconsole.view.text import Span, Tone

SIDES = 8
"""Padding, and room for the scroll bar."""


class ReportPage(ModalScreen[None]):
    """Shows a paper."""

    BINDINGS: ClassVar = [
        Binding("escape,q,enter", "dismiss", "back", show=False),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, paper: Paper) -> None:
        super().__init__()
        self._paper = paper

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static("", id="report")

    def on_mount(self) -> None:
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = max(20, int(self.app.size.width * 0.96) - SIDES)
        told = lines(self._paper, width)
        self.query_one("#report", Static).update(
            painted(*told, (), (Span("esc", Tone.ACCENT), Span(" back", Tone.FAINT)))
        )

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
