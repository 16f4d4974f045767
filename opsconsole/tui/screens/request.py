"""One request: what came of it in a line, each attempt in a row, and below what is known of the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.widget import Widget

from opsconsole.tui.actions import TABLE_ACTIONS, bindings
from opsconsole.tui.context import Context
from opsconsole.tui.screens.jumps import COPY_ID, JUMP_ACTIONS
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Painted
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.notices import Notice
from opsconsole.view.requests import one
from opsconsole.view.requests.snapshot import RequestQuestion, RequestSnapshot
from opsconsole.view.table import Table
from opsconsole.view.text import Line, Span, Tone, line

KEPT: Final = ("back", "down", "up", "page-down", "page-up", "top", "bottom", "pan-right", "pan-left")
"""What a table of a few attempts needs of what tables offer."""
REQUEST_ACTIONS: Final = (*(action for action in TABLE_ACTIONS if action.id in KEPT), COPY_ID, *JUMP_ACTIONS)
ROOM: Final = 12
"""Attempts that show at once."""


class RequestScreen(ViewScreen[RequestSnapshot]):
    """One request with all its attempts; escape goes back to where it was opened."""

    NAME = "requests"
    ACTIONS = REQUEST_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(REQUEST_ACTIONS)
    SORT = one.IN_ORDER
    question: RequestQuestion

    def __init__(self, context: Context, question: RequestQuestion) -> None:
        super().__init__(context, question)
        self.add_class("view-request")

    def above(self) -> Iterable[Widget]:
        return (Painted(id="summary"),)

    def below(self) -> Iterable[Widget]:
        return (Painted(id="facts"),)

    def written(self, snapshot: RequestSnapshot) -> Table:
        return one.table(snapshot, self.glyphs)

    def lead(self) -> Line:
        return line(Span("request ", Tone.FAINT), Span(self.question.request_id, Tone.STRONG))

    def empty(self, snapshot: RequestSnapshot) -> Notice:
        back = line(Span("esc", Tone.ACCENT), Span(" goes back.", Tone.FAINT))
        return Notice(f"The ledger has no request {self.question.request_id}.", (back,))

    def draw_figures(self, snapshot: RequestSnapshot) -> None:
        detail = snapshot.detail
        if detail is None:
            return
        self.query_one("#middle").styles.height = min(len(detail.attempts), ROOM) + 1
        told = one.summary(detail.line, self.shared.zone, self.glyphs)
        self.painted("summary").paint(lambda _width, _height: (told,))
        self._draw_facts()

    @on(ViewTable.Moved)
    def _draw_facts(self) -> None:
        snapshot, key = self.kept, self.rows.cursor_key
        if snapshot is not None:
            number = int(key[0]) if key else None
            self.painted("facts").paint(
                lambda width, height: one.facts(snapshot, number, self.shared.zone, width, height, self.glyphs)
            )

    # What can be done

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(self.question.request_id)
        self.notify(f"sent {self.question.request_id} to the terminal's clipboard", timeout=2, markup=False)

    @of_row
    def action_its_key(self) -> None:
        if self.kept is not None and self.kept.detail is not None:
            self.shared.jump("keys", (self.kept.detail.line.key,))

    @of_row
    def action_its_route(self) -> None:
        if self.kept is not None and self.kept.detail is not None:
            self.shared.jump("routes", (self.kept.detail.line.alias,))

    @of_row
    def action_its_upstream(self) -> None:
        key = self.rows.cursor_key
        if self.kept is not None and self.kept.detail is not None and key is not None:
            attempt = next(each for each in self.kept.detail.attempts if str(each.number) == key[0])
            self.shared.jump("vault", (attempt.target.partition("/")[0],))
