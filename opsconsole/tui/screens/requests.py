"""The Requests view: the newest requests as they end, narrowed to what one wants to see, and older ones by the page."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType

from keyvault.domain.narrowing import EVERY_REQUEST, Narrowing
from keyvault.domain.reports import RequestLine
from opsconsole.tui.actions import PREFIX, TABLE_ACTIONS, Action, bindings, menu
from opsconsole.tui.context import Context
from opsconsole.tui.screens.jumps import COPY_ID, JUMP_ACTIONS
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.screens.request import RequestScreen
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.notices import Notice
from opsconsole.view.requests import title
from opsconsole.view.requests.beside import beside
from opsconsole.view.requests.rows import BY_END, table
from opsconsole.view.requests.snapshot import RequestQuestion, RequestsQuestion, RequestsSnapshot
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line

REQUESTS_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "Open the request with all its attempts", "table", 1),
    *(COPY_ID if action.id == COPY_ID.id else action for action in TABLE_ACTIONS),
    Action("narrow", (PREFIX,), "screen.narrow_menu", "only …", "Only requests of this key, model …", "table", 6),
    Action("failed", ("f",), "screen.failed", "failed", "Only failed requests, or all again", "table", 7),
    Action(
        "newer", ("left_square_bracket",), "screen.newer", "newer", "Newer requests, at last those that come", "view"
    ),
    Action(
        "older", ("right_square_bracket",), "screen.older", "older", "Older requests", "view", rank=10, bar_key="[ ]"
    ),
    *JUMP_ACTIONS,
    Action("narrow-top", ("g",), "screen.top", "top", "First row", "move", rank=2, prefix=PREFIX),
    *(
        Action(
            f"narrow-{by}",
            (by[0],),
            f"screen.narrow('{by}')",
            by,
            f"Only requests of this row's {by}",
            "table",
            1,
            PREFIX,
        )
        for by in ("key", "model", "project", "customer", "target")
    ),
    Action("narrow-all", ("a",), "screen.all", "all", "All requests again", "table", rank=1, prefix=PREFIX),
)


class RequestsScreen(ViewScreen[RequestsSnapshot]):
    """Single requests. Opened from another view it begins narrowed, and escape goes back there."""

    NAME = "requests"
    ACTIONS = REQUESTS_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(REQUESTS_ACTIONS)
    SORT = BY_END
    question: RequestsQuestion

    def __init__(self, context: Context, narrowing: Narrowing = EVERY_REQUEST) -> None:
        self._begun = RequestsQuestion(narrowing)
        super().__init__(context, self._begun)
        self._newer: list[str] = []
        """Where the pages between the newest and this one begin."""

    def written(self, snapshot: RequestsSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs, self.shared.zone)

    def lead(self) -> Line:
        return title.lead(self.kept.question if self.kept else self.question, self.shared.zone, self.glyphs)

    def empty(self, snapshot: RequestsSnapshot) -> Notice:
        return title.empty(snapshot, self.glyphs, acts=not self.shared.read_only)

    def beside(self, snapshot: RequestsSnapshot, key: RowKey | None) -> Lines | None:
        found = _line(snapshot, key)
        if found is None:
            return None
        return lambda width, height: beside(found, self.shared.zone, width, height, self.glyphs)

    @property
    def line(self) -> RequestLine | None:
        """The one under the cursor."""
        return _line(self.kept, self.rows.cursor_key) if self.kept else None

    # What can be done

    @of_row
    def action_open(self) -> None:
        if self.line is not None:
            self.app.push_screen(RequestScreen(self.shared, RequestQuestion(self.line.request_id)))

    def action_failed(self) -> None:
        self._narrow(replace(self.question.narrowing, failed=not self.question.narrowing.failed))

    def action_narrow_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("only this row's", menu(REQUESTS_ACTIONS, PREFIX)), chosen)

    @of_row
    def action_narrow(self, by: str) -> None:
        if self.line is not None:
            value = f"{self.line.customer}/{self.line.project}" if by == "project" else getattr(self.line, by)
            self._narrow(self.question.narrowing.to(by, value), f"these are only of {value} already")

    def action_all(self) -> None:
        self._narrow(EVERY_REQUEST, "these are the newest of all already")

    def _narrow(self, narrowing: Narrowing, otherwise: str = "") -> None:
        self._newer.clear()
        self.turn(RequestsQuestion(narrowing), otherwise)

    def action_older(self) -> None:
        if self.kept is not None and self.kept.question == self.question and self.kept.older is not None:
            self._newer.append(self.question.before)
            self.ask(replace(self.question, before=self.kept.older))
        else:
            self.say("there are no older requests" if self.kept is not None else self.unread)

    def action_newer(self) -> None:
        if self._newer:
            self.ask(replace(self.question, before=self._newer.pop()))
        else:
            self.say("these are the newest requests")

    def action_back(self) -> None:
        """Escape: the filter first, then the page and what was narrowed here, then back."""
        if self.wanted or self.question == self._begun:
            super().action_back()
        elif self._newer:
            self._narrow(self.question.narrowing)
        else:
            self._narrow(self._begun.narrowing)

    @of_row
    def action_its_key(self) -> None:
        if self.line is not None:
            self.shared.jump("keys", (self.line.key,))

    @of_row
    def action_its_route(self) -> None:
        if self.line is not None:
            self.shared.jump("routes", (self.line.alias,))

    @of_row
    def action_its_upstream(self) -> None:
        if self.line is not None:
            self.shared.jump("vault", (self.line.target.partition("/")[0],))


def _line(snapshot: RequestsSnapshot, key: RowKey | None) -> RequestLine | None:
    return next((line for line in snapshot.lines if (line.request_id,) == key), None)
