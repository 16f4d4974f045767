"""The Live view: figures and graphs on top, the table of who uses what, the targets' health and what needs a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar, Final

from textual.binding import BindingType
from textual.widget import Widget

from opsconsole.tui.actions import PREFIX, TABLE_ACTIONS, WINDOW_ACTIONS, Action, bindings, menu, window_ends
from opsconsole.tui.context import Context
from opsconsole.tui.deeds.vault import new_upstream
from opsconsole.tui.memory import Arrangement
from opsconsole.tui.screens.keys import KeysScreen
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.screens.requests import RequestsScreen
from opsconsole.tui.screens.view_screen import of_row
from opsconsole.tui.screens.zoom import ZOOM, ZoomScreen
from opsconsole.tui.widgets.painted import Painted
from opsconsole.view import alerts, board
from opsconsole.view.live import beside, tiles
from opsconsole.view.live.empty import empty
from opsconsole.view.live.rows import BY_COST, narrowing, table
from opsconsole.view.live.snapshot import GroupBy, LiveQuestion, LiveSnapshot
from opsconsole.view.notices import Notice
from opsconsole.view.snapshot import WINDOWS
from opsconsole.view.table import Table
from opsconsole.view.text import Line, Span, Tone, line

LIVE_ACTIONS: Final = (
    Action("open", ("enter",), "screen.open", "open", "See the requests of the row", "table", 1),
    Action("new", ("n",), "screen.new", "next step", "Take the next step to the first request", "change", changes=True),
    *TABLE_ACTIONS,
    *WINDOW_ACTIONS,
    Action("group", (PREFIX,), "screen.group_menu", "group", "Group by key, model, project …", "table", 6),
    ZOOM,
    Action("group-top", ("g",), "screen.top", "top", "First row", "move", rank=2, prefix=PREFIX),
    *(
        Action(
            f"group-{by}", (by[0],), f"screen.group('{by}')", str(by), f"Group by {by}", "table", rank=1, prefix=PREFIX
        )
        for by in GroupBy
    ),
)


class LiveScreen(ZoomScreen[LiveSnapshot]):
    """What is going through the gateway now."""

    NAME = "live"
    ACTIONS = LIVE_ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(LIVE_ACTIONS)
    SORT = BY_COST
    question: LiveQuestion

    def __init__(self, context: Context) -> None:
        super().__init__(context, LiveQuestion())

    def above(self) -> Iterable[Widget]:
        return Painted(id="board"), Painted(id="graphs")

    def below(self) -> Iterable[Widget]:
        return (Painted(id="foot"),)

    @property
    def window_label(self) -> str:
        return self.question.window.label

    def written(self, snapshot: LiveSnapshot) -> Table:
        return table(snapshot, self.sort, self.wanted, self.glyphs)

    def lead(self) -> Line:
        by = self.kept.question.by if self.kept else self.question.by
        return line(Span("by ", Tone.FAINT), Span(by.heading, Tone.STRONG))

    def empty(self, snapshot: LiveSnapshot) -> Notice:
        return empty(snapshot, self.glyphs, acts=not self.shared.read_only)

    def draw_figures(self, snapshot: LiveSnapshot) -> None:
        figures = tiles.tiles(snapshot, self.glyphs)
        label = snapshot.question.window.label
        self.painted("board").paint(lambda width, height: board.board(figures, width, height, self.glyphs))
        self.painted("graphs").paint(lambda width, height: board.graphs(figures, width, height, label, self.glyphs))
        told = alerts.alerts(snapshot, self.glyphs)
        self.painted("side").paint(
            lambda width, height: beside.side(snapshot.targets, told, width, height, self.glyphs)
        )
        self.painted("foot").paint(
            lambda width, height: beside.foot(snapshot.targets, told, width, height, self.glyphs)
        )

    def arrangement(self) -> Arrangement:
        return {**super().arrangement(), "window": self.window_label, "by": self.question.by.value}

    def recall(self, kept: Arrangement) -> None:
        super().recall(kept)
        window = next((window for window in WINDOWS if window.label == kept.get("window")), self.question.window)
        by = GroupBy(kept["by"]) if kept.get("by") in list(GroupBy) else self.question.by
        self.question = LiveQuestion(window, by)

    # What can be done

    @of_row
    def action_open(self) -> None:
        """The row's requests; escape comes back to it."""
        key = self.rows.cursor_key
        if self.kept is not None and key is not None:
            self.app.push_screen(RequestsScreen(self.shared, narrowing(self.kept.question.by, key)))

    async def action_new(self) -> None:
        """The step that the page of a new gateway names, where it can be taken here; later, a new key."""
        setup = self.newest.setup if self.newest is not None else None
        if setup is None:
            self.say(self.unread)
        elif not setup.upstreams:
            self.begin(new_upstream())
        elif setup.keys and not setup.ever_used:
            self.say("call it with the key" if setup.listen else "start a worker in another terminal: gwctl serve")
        else:
            await self.run_action("app.view('keys')")
            if isinstance(keys := self.app.screen, KeysScreen):
                keys.make_one()

    def action_window(self, by: int) -> None:
        at = WINDOWS.index(self.question.window) + by
        wanted = replace(self.question, window=WINDOWS[max(0, min(at, len(WINDOWS) - 1))])
        self.turn(wanted, window_ends(self.window_label, by))

    def action_group(self, by: str) -> None:
        self.turn(replace(self.question, by=GroupBy(by)), f"the rows are grouped by {by} already")

    def action_group_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("group by", menu(LIVE_ACTIONS, PREFIX)), chosen)
