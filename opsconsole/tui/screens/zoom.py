"""Zoom: only the graphs, then only the table, then both; escape leaves it."""

from __future__ import annotations

from typing import Final, Generic

from opsconsole.tui.actions import Action
from opsconsole.tui.context import Context
from opsconsole.tui.screens.drawn import S
from opsconsole.tui.screens.view_screen import ViewScreen
from opsconsole.view.snapshot import Question

ZOOMS: Final = ("", "-graphs", "-table")
ZOOM: Final = Action("zoom", ("z",), "screen.zoom", "zoom", "Only graphs, then only the table, then both", "view", 10)


class ZoomScreen(ViewScreen[S], Generic[S]):
    """A view with figures above the table."""

    def __init__(self, context: Context, question: Question) -> None:
        super().__init__(context, question)
        self._zoom = 0

    def action_zoom(self) -> None:
        self._zoom = (self._zoom + 1) % len(ZOOMS)
        for at, name in enumerate(ZOOMS):
            if name:
                self.set_class(at == self._zoom, name)
        self.rows.focus()

    def action_back(self) -> None:
        """Escape: the filter first, then the zoom."""
        if self._zoom and not self.wanted:
            self._zoom = len(ZOOMS) - 1
            self.action_zoom()
        else:
            super().action_back()
