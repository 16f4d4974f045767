"""The Keys view: who may call, how much of their money is spent, and everything one does to them.

Its rows are keys, projects or customers. The pane beside the table tells all of the row under the cursor; where there
is no room for it, or more is to be seen of it, it takes the table's place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType

from opsconsole.tui.actions import PREFIX, TABLE_ACTIONS, Action, bindings, menu
from opsconsole.tui.context import Context
from opsconsole.tui.memory import Arrangement
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.screens.view_screen import ViewScreen
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.keys.beside import beside
from opsconsole.view.keys.empty import empty
from opsconsole.view.keys.rows import BY_NAME, table
from opsconsole.view.keys.snapshot import KeysBy, KeysQuestion, KeysSnapshot, Row
from opsconsole.view.notices import Notice
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line, Span, Tone, line

OPENED: Final = "-opened"
_TITLES: Final = {
    KeysBy.KEY: "keys",
    KeysBy.PROJECT: "projects",
    KeysBy.CUSTOMER: "customers",
    KeysBy.DELETED: "deleted keys",
}

KEYS_ACTIONS: Final = (
    *TABLE_ACTIONS,
    Action("open", ("enter",), "screen.open", "open", "All of a key; the projects of a customer", "table", 3),
    Action("zoom", ("z",), "screen.zoom", "zoom", "The row alone on the whole screen, and back", "view"),
    Action("group", (PREFIX,), "screen.group_menu", "group", "Keys, projects, customers or deleted keys", "table", 6),
    Action("group-top", ("g",), "screen.top", "top", "First row", "move", rank=2, prefix=PREFIX),
    *(
        Action(
            f"group-{by}", (by[0],), f"screen.group('{by}')", _TITLES[by], f"Show {_TITLES[by]}", "table", 1, PREFIX
        )
        for by in KeysBy
    ),
)


class KeysScreen(ViewScreen[KeysSnapshot]):
    """Keys, or the projects or customers they belong to; `question`: those of one of these alone."""

    NAME = "keys"
    ACTIONS = KEYS_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS_ACTIONS)
    SORT = BY_NAME
    question: KeysQuestion

    def __init__(self, context: Context, question: KeysQuestion | None = None) -> None:
        super().__init__(context, question or KeysQuestion())

    def written(self, snapshot: KeysSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.shared.zone, self.glyphs)

    def lead(self) -> Line:
        asked = self.kept.question if self.kept else self.question
        within = (Span(" of ", Tone.FAINT), Span(asked.within, Tone.STRONG)) if asked.within else ()
        return line(Span(_TITLES[asked.by], Tone.STRONG), *within)

    def empty(self, snapshot: KeysSnapshot) -> Notice:
        return empty(snapshot, read_only=self.shared.read_only)

    def beside(self, snapshot: KeysSnapshot, key: RowKey | None) -> Lines | None:
        row = snapshot.row(key[0]) if key else None
        if row is None:
            return lambda _width, _height: ()
        now, zone, glyphs = snapshot.taken_at, self.shared.zone, self.glyphs
        return lambda width, height: beside(row, now, width, height, zone, glyphs)

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        key = self.rows.cursor_key
        return self.kept.row(key[0]) if self.kept is not None and key else None

    def arrangement(self) -> Arrangement:
        return {**super().arrangement(), "by": self.question.by.value}

    def recall(self, kept: Arrangement) -> None:
        super().recall(kept)
        if kept.get("by") in list(KeysBy):
            self.question = KeysQuestion(KeysBy(kept["by"]))

    # What is shown

    def action_open(self) -> None:
        """Into a customer's projects, a project's keys; all there is to know of a key."""
        row = self.chosen
        if row is None:
            return
        within = {KeysBy.CUSTOMER: KeysBy.PROJECT, KeysBy.PROJECT: KeysBy.KEY}.get(self.question.by)
        if within is None:
            self.action_zoom()
        else:
            self.app.push_screen(KeysScreen(self.shared, KeysQuestion(within, row.name)))

    def action_zoom(self) -> None:
        self.toggle_class(OPENED)
        self.rows.focus()

    def action_back(self) -> None:
        """Escape: the filter first, then what is opened, then back to where one came from."""
        if self.has_class(OPENED) and not self.wanted:
            self.remove_class(OPENED)
        else:
            super().action_back()

    def action_group(self, by: str) -> None:
        self.ask(replace(self.question, by=KeysBy(by), within=""))

    def action_group_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("show", menu(KEYS_ACTIONS, PREFIX)), chosen)
