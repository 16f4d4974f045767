"""The Keys view: who may call, how much of their money is spent, and everything one does to them.

Its rows are keys, projects or customers. The pane beside the table tells all of the row under the cursor; where there
is no room for it, or more is to be seen of it, it takes the table's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType

from keyvault.domain.keys import DEFAULT_PROJECT, KeyState
from keyvault.domain.narrowing import EVERY_REQUEST
from keyvault.domain.pivot import PivotAsked
from opsconsole.tui.actions import PREFIX, TABLE_ACTIONS, Action, bindings, menu
from opsconsole.tui.context import Context
from opsconsole.tui.deeds import groups, keys, money, rotating
from opsconsole.tui.deeds.deed import Deed, Done
from opsconsole.tui.deeds.keys import Fresh
from opsconsole.tui.dialogs.new_secret import NewSecret
from opsconsole.tui.memory import Arrangement
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.screens.requests import RequestsScreen
from opsconsole.tui.screens.usage import UsageScreen
from opsconsole.tui.screens.view_screen import ViewScreen, of_row
from opsconsole.tui.widgets.painted import Lines
from opsconsole.view.feed import Feed
from opsconsole.view.keys.beside import beside
from opsconsole.view.keys.empty import empty
from opsconsole.view.keys.rows import BY_NAME, table
from opsconsole.view.keys.snapshot import GroupRow, KeyRow, KeysBy, KeysQuestion, KeysSnapshot, Row
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


def _change(id_: str, key: str, label: str, tip: str, rank: int = 0) -> Action:
    return Action(id_, (key,), f"screen.{id_.replace('-', '_')}", label, tip, "change", rank, changes=True)


KEYS_ACTIONS: Final = (
    _change("new", "n", "new", "Make a key, a project or a customer", 2),
    _change("edit", "e", "edit", "Change what a key may do, or what a customer is charged", 4),
    _change("rotate", "r", "rotate", "Give a key a new secret, or end a rotation that is under way", 3),
    _change("suspend", "x", "suspend", "Suspend or resume: refuse all requests until then", 5),
    _change("revoke", "D", "revoke", "Revoke a key for good; delete one that is", 5),
    _change("delete", "X", "delete", "Delete a key; for seven days it can be restored"),
    _change("restore", "u", "restore", "Restore a deleted key"),
    _change("budget", "b", "budget", "Set what may be spent an hour, a day, a month …", 8),
    _change("unbudget", "B", "no budget", "Remove a budget"),
    _change("limits", "L", "limits", "Set how many requests and tokens a minute", 12),
    _change("top-up", "t", "top up", "Put prepaid money on a balance", 9),
    _change("adjust", "C", "adjust", "Correct a balance, up or down"),
    _change("release", "R", "release", "Give a balance back what is in doubt"),
    *TABLE_ACTIONS,
    Action("open", ("enter",), "screen.open", "open", "What a key used; the projects of a customer", "table", 3),
    Action("requests", ("v",), "screen.requests", "requests", "The newest requests of the row", "table", 7),
    Action("zoom", ("z",), "screen.zoom", "zoom", "The row alone on the whole screen, and back", "view"),
    Action("group", (PREFIX,), "screen.group_menu", "group", "Keys, projects, customers or deleted keys", "table", 6),
    Action("group-top", ("g",), "screen.top", "top", "First row", "move", rank=2, prefix=PREFIX),
    *(
        Action(f"group-{by}", (by[0],), f"screen.group('{by}')", _TITLES[by], f"Show {_TITLES[by]}", "table", 1, PREFIX)
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
        self._making = False
        """Whether the form of a new one is to be opened with the next reading."""

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

    @of_row
    def action_open(self) -> None:
        """Into a customer's projects, a project's keys, what a key used; where there is no pane beside the table, all
        there is to know of the key."""
        row = self.chosen
        if row is None:
            return
        within = {KeysBy.CUSTOMER: KeysBy.PROJECT, KeysBy.PROJECT: KeysBy.KEY}.get(self.question.by)
        if within is not None:
            self.app.push_screen(KeysScreen(self.shared, KeysQuestion(within, row.name)))
        elif isinstance(row, KeyRow) and (self.has_class("-wide") or self.has_class("-vast")):
            asked = PivotAsked("model", only=(("key", row.name),), tests=row.key.env == "test")
            self.app.push_screen(UsageScreen(self.shared, asked))
        else:
            self.action_zoom()

    @of_row
    def action_requests(self) -> None:
        """The newest requests of the row, as they come."""
        row = self.chosen
        if row is not None:
            self.app.push_screen(RequestsScreen(self.shared, EVERY_REQUEST.to(row.kind.value, row.name)))

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
        self.turn(replace(self.question, by=KeysBy(by), within=""), f"these are all {_TITLES[KeysBy(by)]} already")

    def action_group_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("show", menu(KEYS_ACTIONS, PREFIX)), chosen)

    # What it changes

    def make_one(self) -> None:
        """Open the form of a new one, as soon as there is a reading."""
        self._making = self.kept is None
        if not self._making:
            self.action_new()

    def show(self, newest: Feed) -> None:
        super().show(newest)
        if self._making and self.kept is not None and self.is_active:
            self.make_one()

    def action_new(self) -> None:
        known, asked = self.kept, self.question
        if known is None or known.usual is None:
            self.say(self.unread)
            return
        now, within = self.shared.clock.now(), asked.within
        match asked.by:
            case KeysBy.CUSTOMER:
                self.begin(groups.new_customer(known.customers))
            case KeysBy.PROJECT:
                self.begin(groups.new_project(known.projects, known.customers, within))
            case _:
                project = within if "/" in within else DEFAULT_PROJECT
                self.begin(keys.new_key(known, known.usual, now, project), self._hand_out)

    @of_row
    def action_edit(self) -> None:
        row, known = self.chosen, self.kept
        if known is not None and isinstance(row, KeyRow):
            self.begin(keys.edit(row, known, self.shared.clock.now()))
        elif isinstance(row, GroupRow):
            self.begin(groups.edit(row))

    @of_row
    def action_rotate(self) -> None:
        row, known = self._key(), self.kept
        if row is not None and known is not None and known.usual is not None:
            self.begin(rotating.rotate(row, known.usual.grace, self.shared.clock.now()), self._hand_out)

    @of_row
    def action_suspend(self) -> None:
        row, now = self.chosen, self.shared.clock.now()
        if isinstance(row, KeyRow):
            self.begin(keys.resume(row) if row.key.state is KeyState.SUSPENDED else keys.suspend(row, now))
        elif isinstance(row, GroupRow):
            self.begin(groups.resume(row) if row.suspended else groups.suspend(row))

    @of_row
    def action_revoke(self) -> None:
        row = self._key("customers and projects stay on record; x suspends one")
        if row is not None and keys.ended(row):
            self.action_delete()
        elif row is not None:
            self.begin(keys.revoke(row, self.shared.clock.now()))

    @of_row
    def action_delete(self) -> None:
        row = self._key("customers and projects stay on record; x suspends one")
        if row is not None:
            deleted = row.state is KeyState.DELETED
            self.begin(keys.purge(row) if deleted else keys.delete(row, self.shared.clock.now()))

    @of_row
    def action_restore(self) -> None:
        row = self._key()
        if row is not None and row.state is KeyState.DELETED:
            self.begin(keys.restore(row))
        else:
            self.say("only a deleted key can be restored; g d shows them")

    @of_row
    def action_budget(self) -> None:
        if self.chosen is not None:
            self.begin(money.budget(self.chosen))

    @of_row
    def action_unbudget(self) -> None:
        self._begin_if(money.unbudget, "it has no budget of its own; b sets one")

    @of_row
    def action_limits(self) -> None:
        if self.chosen is not None:
            self.begin(money.limits(self.chosen))

    @of_row
    def action_top_up(self) -> None:
        if self.chosen is not None:
            self.begin(money.top_up(self.chosen))

    @of_row
    def action_adjust(self) -> None:
        self._begin_if(money.adjust, "there is no balance; t makes one")

    @of_row
    def action_release(self) -> None:
        self._begin_if(money.release, "nothing is in doubt")

    def _begin_if(self, make: Callable[[Row], Deed | None], otherwise: str) -> None:
        if self.chosen is None:
            return
        deed = make(self.chosen)
        if deed is None:
            self.say(otherwise)
        else:
            self.begin(deed)

    def _key(self, otherwise: str = "this is done to a key; g k shows them") -> KeyRow | None:
        """The key under the cursor; says why where there is none."""
        row = self.chosen
        if row is not None and not isinstance(row, KeyRow):
            self.say(otherwise)
        return row if isinstance(row, KeyRow) else None

    def _hand_out(self, done: Done) -> None:
        """Show a new secret, this once, and watch for the first request with it."""
        fresh = done.result
        if not isinstance(fresh, Fresh):
            return
        if self.is_current:  # a form can be left before its end
            self.ask(replace(self.question, awaited=fresh.awaited))
            self.select((fresh.awaited.key,))
        self.app.push_screen(NewSecret(fresh, self.glyphs), lambda _left: self._handed_out())

    def _handed_out(self) -> None:
        self.ask(replace(self.question, awaited=None))
