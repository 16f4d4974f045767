"""The Usage view: what was used and what it cost, by whatever is asked, down to the single request and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.widget import Widget

from keyvault.domain.pivot import PivotAsked, Stretch
from opsconsole.tui.actions import PREFIX, TABLE_ACTIONS, Action, bindings, menu, window_ends
from opsconsole.tui.context import Context
from opsconsole.tui.deeds.deed import Done
from opsconsole.tui.deeds.files import write
from opsconsole.tui.dialogs.deed_dialog import DeedDialog
from opsconsole.tui.hands import FileHands
from opsconsole.tui.memory import Arrangement
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.screens.requests import RequestsScreen
from opsconsole.tui.screens.view_screen import of_row
from opsconsole.tui.screens.zoom import ZOOM, ZoomScreen
from opsconsole.tui.widgets.painted import Lines, Painted
from opsconsole.view import board
from opsconsole.view.notices import Notice
from opsconsole.view.table import RowKey, Table
from opsconsole.view.text import Line
from opsconsole.view.usage import pictures, tiles, title
from opsconsole.view.usage.beside import beside
from opsconsole.view.usage.files import as_csv
from opsconsole.view.usage.rows import BY_COST, BY_DAY, matching, ordered, table
from opsconsole.view.usage.snapshot import DEEPER, UsageQuestion, UsageSnapshot, deeper, narrowing

STRETCHES: Final = tuple(Stretch)
USAGE_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "into", "See what the row is made of, at last its requests", "table", 1),
    *TABLE_ACTIONS,
    Action("requests", ("o",), "screen.requests", "requests", "See the row's requests", "table", 8),
    Action("group", (PREFIX,), "screen.group_menu", "group", "Group by customer, project, key …", "table", 6),
    Action("shorter", ("left_square_bracket",), "screen.window(-1)", "shorter", "Look less far back", "view"),
    Action(
        "longer",
        ("right_square_bracket",),
        "screen.window(1)",
        "window",
        "Look further back: 24 h, 7 d, 30 d, this month, the last one",
        "view",
        rank=7,
        bar_key="[ ]",
    ),
    ZOOM,
    Action("stack", ("v",), "screen.stack", "stack", "Draw the groups stacked, or their sum", "view", 11),
    Action("tests", ("t",), "screen.tests", "tests", "Count what keys for tests did, or not", "view", 13),
    Action("write", ("w",), "screen.write", "write", "Write every row into a CSV file", "table", 9),
    Action("group-top", ("g",), "screen.top", "top", "First row", "move", rank=2, prefix=PREFIX),
    *(
        Action(f"group-{by}", (by[0],), f"screen.group('{by}')", by, f"Group by {by}", "table", rank=1, prefix=PREFIX)
        for by in ("customer", "project", "key", "model", "target", "day")
    ),
)


class UsageScreen(ZoomScreen[UsageSnapshot]):
    """Sums of usage; opened from itself it shows what a row is made of."""

    NAME = "usage"
    ACTIONS = USAGE_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(USAGE_ACTIONS)
    SORT = BY_COST
    question: UsageQuestion

    def __init__(self, context: Context, asked: PivotAsked | None = None) -> None:
        super().__init__(context, UsageQuestion(asked or PivotAsked()))
        self._stacked = False

    def above(self) -> Iterable[Widget]:
        return Painted(id="board"), Painted(id="graphs")

    @property
    def window_label(self) -> str:
        return title.window(self.question.asked)

    def written(self, snapshot: UsageSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        kept = self.kept
        left_out = kept.pivot.left_out if kept and kept.pivot else 0
        return title.lead(kept.question.asked if kept else self.question.asked, left_out, self.glyphs)

    def empty(self, snapshot: UsageSnapshot) -> Notice:
        return title.empty(snapshot, self.glyphs, acts=not self.shared.read_only)

    def beside(self, snapshot: UsageSnapshot, key: RowKey | None) -> Lines | None:
        if key is None:
            return None
        return lambda width, height: beside(snapshot, key[0], width, height, self.glyphs)

    def draw_figures(self, snapshot: UsageSnapshot) -> None:
        pivot, zone = snapshot.pivot, self.shared.zone
        if pivot is None:
            return
        figures = tiles.tiles(pivot, snapshot.taken_at, self.glyphs)
        stack = self._stacked
        self.painted("board").paint(lambda width, height: board.board(figures, width, height, self.glyphs))
        self.painted("graphs").paint(
            lambda width, height: pictures.pictures(snapshot, width, height, stack=stack, zone=zone, glyphs=self.glyphs)
        )

    def arrangement(self) -> Arrangement:
        asked = self.question.asked
        return {**super().arrangement(), "window": asked.stretch.value, "by": asked.by, "stacked": self._stacked}

    def recall(self, kept: Arrangement) -> None:
        super().recall(kept)
        stretch = next((each for each in Stretch if each.value == kept.get("window")), Stretch.HOURS)
        by = kept.get("by")
        self.question = UsageQuestion(PivotAsked(by if by in DEEPER else "customer", stretch))
        self._stacked = kept.get("stacked") is True

    # What can be done

    @of_row
    def action_open(self) -> None:
        key = self.rows.cursor_key
        if self.kept is None or self.kept.pivot is None or key is None:
            return
        inside = deeper(self.kept.question.asked, key[0])
        if inside is None:
            self.action_requests()
        else:
            self.app.push_screen(UsageScreen(self.shared, inside))

    @of_row
    def action_requests(self) -> None:
        key = self.rows.cursor_key
        if self.kept is None or self.kept.pivot is None or key is None:
            return
        if self.kept.question.asked.by == "day":
            self.action_open()
        else:
            found = narrowing(self.kept.pivot, key[0], self.kept.taken_at)
            self.app.push_screen(RequestsScreen(self.shared, found))

    def action_group_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("group by", menu(USAGE_ACTIONS, PREFIX)), chosen)

    def action_group(self, by: str) -> None:
        self.sort = BY_DAY if by == "day" else BY_COST
        self._ask(replace(self.question.asked, by=by), f"the rows are grouped by {by} already")

    def action_window(self, by: int) -> None:
        asked = self.question.asked
        at = STRETCHES.index(asked.stretch) + by
        wanted = replace(asked, stretch=STRETCHES[max(0, min(at, len(STRETCHES) - 1))], day="")
        self._ask(wanted, window_ends(self.window_label, by))

    def action_tests(self) -> None:
        self._ask(replace(self.question.asked, tests=not self.question.asked.tests))

    def _ask(self, asked: PivotAsked, otherwise: str = "") -> None:
        self.turn(UsageQuestion(asked), otherwise)

    def action_stack(self) -> None:
        self._stacked = not self._stacked
        self.draw()

    def action_write(self) -> None:
        kept, shown = self.kept, self.table
        if kept is None or kept.pivot is None or shown is None:
            self.say(self.unread)
            return
        by, sort, found = kept.question.asked.by, shown.sort, matching(kept.pivot, self.wanted)
        name = f"usage-by-{by}-{kept.taken_at.astimezone(self.shared.zone):%Y-%m-%d}.csv"
        rows = f"{len(found):,} row{'' if len(found) == 1 else 's'}"
        what = f"the {rows} that the filter shows" if self.wanted else f"all {rows}"
        deed = write(what, name, lambda: as_csv(by, [(row.name, row.totals) for row in ordered(found, by, sort)]))

        def ended(done: Done | None) -> None:
            if done is not None:
                self.notify(done.told, timeout=4, markup=False)

        self.app.push_screen(DeedDialog(deed, FileHands(), ended), ended)
