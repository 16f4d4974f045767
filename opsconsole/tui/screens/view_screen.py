"""What all views can do: filter and order the table, move in it, carry out deeds, remember how they were arranged."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from textual import on

from opsconsole.tui.deeds.deed import Deed, Done
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.memory import Arrangement
from opsconsole.tui.screens.drawn import DrawnScreen, S
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view.filters import Filter
from opsconsole.view.snapshot import Question
from opsconsole.view.table import RowKey, Sort

V = TypeVar("V", bound="ViewScreen[Any]")
P = ParamSpec("P")


def of_row(action: Callable[Concatenate[V, P], None]) -> Callable[Concatenate[V, P], None]:
    """What is done to the row under the cursor; where there is none that is said, instead of nothing, and the
    key bar leaves it out."""

    @wraps(action)
    def done(screen: V, *of: P.args, **more: P.kwargs) -> None:
        if screen.kept is None or screen.rows.cursor_key is None:
            screen.say("there is no row to do it to")
        else:
            action(screen, *of, **more)

    done.wants_row = True  # type: ignore[attr-defined]
    return cast("Callable[Concatenate[V, P], None]", done)


class ViewScreen(DrawnScreen[S], Generic[S]):
    """One view. `S`: its kind of snapshot."""

    # What is remembered

    def arrangement(self) -> Arrangement:
        """How it is arranged, to be remembered between runs."""
        return {"sort": self.sort.column, "descending": self.sort.descending}

    def recall(self, kept: Arrangement) -> None:
        """Arrange it as it was; what makes no sense any more is passed over."""
        column, descending = kept.get("sort"), kept.get("descending")
        if isinstance(column, str) and isinstance(descending, bool):
            self.sort = Sort(column, descending)

    # What every view can do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing that changes the gateway is there when the console only reads, however it is called."""
        if self.shared.read_only and any(each.changes and each.name == action for each in self.ACTIONS):
            return False
        return super().check_action(action, parameters)

    def select(self, key: RowKey) -> None:
        """Put the cursor on a row, as soon as it is there."""
        if self.table is None or not self.rows.select(key):
            self._sought = key

    def say(self, told: str) -> None:
        """A sentence that goes away by itself: why a key did nothing, or what it did."""
        self.notify(told, timeout=4, markup=False)

    def turn(self, question: Question, otherwise: str) -> None:
        """Want something else to be known from now on; where that is what is asked already, say so."""
        if question == self.question:
            self.say(otherwise)
        else:
            self.ask(question)

    def begin(self, deed: Deed, then: Any = None) -> None:
        """Show a deed; when it is done say so, read the figures, and go on with `then`, which gets what it came to."""
        if self.newest is None:
            self.say(self.unread)
            return

        def ended(done: Done | None) -> None:
            if done is None:
                return
            self.say(done.told)
            self.shared.read_now()
            if then is not None:
                then(done)

        self.app.push_screen(DeedDialog(deed, self.shared.hands, ended), ended)

    @property
    def unread(self) -> str:
        """Why nothing can be done yet, before there is anything on the screen."""
        return "nothing has been read yet" if self.feed.snapshot is None else "nothing is set up yet: gwctl init"

    def action_sort(self) -> None:
        if self.table is None:
            self.say("there is nothing to sort yet")
        else:
            self._order(self.table.next_sort())

    def action_reverse(self) -> None:
        self._order(Sort(self.sort.column, not self.sort.descending))

    @on(ViewTable.HeadingClicked)
    def _heading_clicked(self, event: ViewTable.HeadingClicked) -> None:
        if event.column == self.sort.column:
            self.action_reverse()
        elif self.table is not None:
            self._order(self.table.sort_by(event.column))

    def _order(self, sort: Sort) -> None:
        self.sort = sort
        self.draw()

    def action_filter(self) -> None:
        self.query_one(FilterBar).open()

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        self.wanted = Filter(event.text)
        self.draw()

    @on(FilterBar.Done)
    def _filter_done(self) -> None:
        self.query_one(FilterBar).close()
        self.rows.focus()

    def action_back(self) -> None:
        """Escape: the filter first; then, of a view opened from another one, back to that."""
        bar = self.query_one(FilterBar)
        if bar.display or self.wanted:
            bar.clear()
            self._filter_done()
        elif len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self.draw()

    @on(ViewTable.Opened)
    async def _clicked_again(self) -> None:
        await self.run_action("screen.open")

    @of_row
    def action_copy(self) -> None:
        for name in (self.rows.cursor_key or ())[:1]:
            self.app.copy_to_clipboard(name)
            self.say(f"sent {name} to the terminal's clipboard")

    def action_move(self, by: int) -> None:
        self.rows.move(by)

    def action_page(self, by: int) -> None:
        self.rows.page(by)

    def action_top(self) -> None:
        self.rows.move_to(0)

    def action_bottom(self) -> None:
        self.rows.move_to_end()

    def action_pan(self, by: int) -> None:
        self.rows.pan(by)
        self._draw_title()
