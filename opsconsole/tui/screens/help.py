"""The help screen: every action there is, by what it is about, with its keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from opsconsole.tui.actions import SECTIONS, Action
from opsconsole.tui.theme import painted
from opsconsole.view import text
from opsconsole.view.text import Line, Span, Tone

KEYS_WIDTH: Final = 16
NARROW: Final = 80
"""Columns below which it takes all the room there is."""


class Help(ModalScreen[None]):
    """Leaves with escape, `q` or `?`."""

    BINDINGS: ClassVar = [
        Binding("escape,q,question_mark,f1", "dismiss", "back", show=False),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        self._actions = tuple(actions)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help"):
            yield Static()

    def on_resize(self) -> None:
        """Sentences that do not fit go on below where they began."""
        self.set_class(self.app.size.width < NARROW, "-narrow")
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        width = self.query_one(VerticalScroll).scrollable_content_region.width - 1  # the scroll bar is not there yet
        folded = (part for each in self.lines() for part in text.folded(each, width, KEYS_WIDTH + 2))
        self.query_one(Static).update(painted(*folded))

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        for section, title in SECTIONS.items():
            lines += [(Span(title, Tone.STRONG),)]
            lines += [_told(action) for action in self._actions if action.section == section]
            lines += [()]
        return [*lines, (Span("esc", Tone.ACCENT), Span(" back to the console", Tone.FAINT))]


def _told(action: Action) -> Line:
    return (Span(f"  {action.shown_keys:<{KEYS_WIDTH}}", Tone.ACCENT), Span(action.tip))
