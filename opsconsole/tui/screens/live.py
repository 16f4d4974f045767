"""The Live view: figures and graphs on top, the table of who uses what, the targets' health and what needs a person.

It draws the newest `Feed` through the pure functions of `opsconsole.view`. Pausing keeps the table as it is while the
figures go on; while another screen is on top nothing is drawn.
"""

from __future__ import annotations

from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from opsconsole.tui.actions import LIVE_ACTIONS, PREFIX, bindings, menu
from opsconsole.tui.context import Context
from opsconsole.tui.screens.menu import Menu
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.heading import HeadingBar
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.tui.widgets.painted import Painted
from opsconsole.tui.widgets.table import UsageTable
from opsconsole.view import alerts, board, chrome, notices, rows, text, tiles
from opsconsole.view.feed import Feed, Mode
from opsconsole.view.filters import Filter
from opsconsole.view.rows import Sort, Table
from opsconsole.view.snapshot import WINDOWS, GroupBy, Question, Snapshot
from opsconsole.view.text import Line, Span, Tone

Breakpoints = list[tuple[int, str]] | None
ZOOMS: Final = ("", "-graphs", "-table")


class LiveScreen(Screen[None]):
    """What is going through the gateway now."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(LIVE_ACTIONS)
    AUTO_FOCUS = "UsageTable"
    HORIZONTAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-narrow"), (80, "-normal"), (118, "-wide"), (180, "-vast")]  # type: ignore[misc] # Textual declares it without ClassVar
    VERTICAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-short"), (20, "-medium"), (32, "-tall"), (44, "-huge")]  # type: ignore[misc]

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._shared = context
        self._glyphs = context.glyphs
        self._feed = Feed()
        self._kept: Snapshot | None = None
        """The snapshot in the table: the newest one, or the one it was paused at."""
        self._question = Question()
        self._paused = False
        self._sort = Sort()
        self._filter = Filter()
        self._zoom = 0
        self._tabled: Snapshot | None = None
        """What the table was last written from."""
        self._tabled_how = (self._sort, self._filter)
        self._table: Table | None = None

    def compose(self) -> ComposeResult:
        yield HeadingBar(self._glyphs)
        with Vertical(id="view"):
            yield Painted(id="board")
            yield Painted(id="graphs")
            yield Painted(id="title")
            with Horizontal(id="middle"):
                yield UsageTable(self._glyphs, id="table")
                yield Painted(id="notice")
                yield Painted(id="side")
            yield Painted(id="foot")
        yield Painted(id="page")
        yield Painted(id="too-small")
        yield FilterBar(id="filter")
        yield KeyBar(self._shared.hints(LIVE_ACTIONS), id="keys")

    # What arrives

    def show(self, newest: Feed) -> None:
        """Take the newest feed; drawn now if this screen is on top, else when it is again."""
        before = self._feed.snapshot
        self._feed = newest
        if not self.is_active:
            return
        if newest.snapshot is before and newest.snapshot is not None:
            self._draw_heading()
        else:
            self.draw()

    def on_mount(self) -> None:
        self.draw()

    def on_screen_resume(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def tick(self) -> None:
        """A second has passed: only the clock and the ages have changed."""
        if self.is_active:
            self._draw_heading()

    # Drawing

    def draw(self) -> None:
        """Everything, from the newest feed."""
        with self.app.batch_update():
            self._choose_snapshot()
            self._draw_table()
            self._draw_figures()
            self._draw_heading()
            self._draw_notices()

    def _choose_snapshot(self) -> None:
        newest = self._feed.snapshot
        kept = self._kept
        if not self._paused or kept is None or (newest is not None and kept.question != newest.question):
            self._kept = newest

    def _draw_table(self) -> None:
        snapshot, how = self._kept, (self._sort, self._filter)
        if snapshot is None or (snapshot is self._tabled and how == self._tabled_how):
            return
        self._tabled, self._tabled_how = snapshot, how
        self._table = rows.table(snapshot, self._sort, self._filter, self._glyphs)
        self._sort = self._table.sort
        self.query_one(UsageTable).show(self._table)

    def _draw_figures(self) -> None:
        snapshot = self._feed.snapshot
        if snapshot is None:
            return
        figures = tiles.tiles(snapshot, self._glyphs)
        label = snapshot.question.window.label
        self._painted("board").paint(lambda width, height: board.board(figures, width, height, self._glyphs))
        self._painted("graphs").paint(lambda width, height: board.graphs(figures, width, height, label, self._glyphs))
        told = alerts.alerts(snapshot, self._glyphs)
        self._painted("side").paint(
            lambda width, height: board.side(snapshot.targets, told, width, height, self._glyphs)
        )
        self._painted("foot").paint(
            lambda width, height: board.foot(snapshot.targets, told, width, height, self._glyphs)
        )

    def _draw_heading(self) -> None:
        snapshot = self._feed.snapshot
        told = alerts.alerts(snapshot, self._glyphs) if snapshot else ()
        self.query_one(HeadingBar).tell(
            chrome.Heading(
                feed=self._feed,
                mode=Mode(self._question, self._shared.interval(), paused=self._paused),
                now=self._shared.clock.now(),
                zone=self._shared.zone,
                alerts=len(told),
                urgent=any(alert.urgent for alert in told),
                read_only=self._shared.read_only,
            )
        )
        self._draw_title()

    @on(UsageTable.Arranged)
    def _draw_title(self) -> None:
        table = self._table
        if table is None:
            return
        as_of = self._kept.taken_at.astimezone(self._shared.zone).strftime("%H:%M:%S") if self._kept else ""
        paused = as_of if self._paused else None
        widget = self.query_one(UsageTable)
        self._painted("title").paint(
            lambda width, _: (
                chrome.title(table, self._filter, width, paused=paused, hidden=widget.hidden, glyphs=self._glyphs),
            )
        )

    def _draw_notices(self) -> None:
        found = notices.notice(self._feed, self._table, self._filter, self._glyphs)
        small = notices.too_small(self.size.width, self.size.height)
        whole = found is not None and found.whole
        self.set_class(small is not None, "-too-small")
        self.set_class(whole and small is None, "-page")
        self.set_class(found is not None and not whole, "-notice")
        self.query_one(KeyBar).offer(self._shared.hints(() if whole else LIVE_ACTIONS))
        told = found.drawn if found else (lambda _width, _height: ())
        self._painted("page").paint(told)
        self._painted("notice").paint(told)
        sentence: Line = (Span(small or "", Tone.WARNING),)
        self._painted("too-small").paint(lambda width, _: text.wrapped(sentence, width))

    def _painted(self, name: str) -> Painted:
        return self.query_one(f"#{name}", Painted)

    # What can be done

    def _ask(self, question: Question) -> None:
        if question != self._question:
            self._question = question
            self._shared.ask(question)
            self._draw_heading()

    def action_window(self, by: int) -> None:
        at = WINDOWS.index(self._question.window) + by
        window = WINDOWS[max(0, min(at, len(WINDOWS) - 1))]
        self._ask(Question(window, self._question.by))

    def action_group(self, by: str) -> None:
        self._ask(Question(self._question.window, GroupBy(by)))

    def action_group_menu(self) -> None:
        def chosen(action: str | None) -> None:
            if action:
                self.call_later(self.run_action, action)

        self.app.push_screen(Menu("group by", menu(LIVE_ACTIONS, PREFIX)), chosen)

    def action_sort(self) -> None:
        if self._table is not None:
            self._order(rows.next_sort(self._sort, self._table.columns))

    def action_reverse(self) -> None:
        self._order(Sort(self._sort.column, not self._sort.descending))

    @on(UsageTable.HeadingClicked)
    def _heading_clicked(self, event: UsageTable.HeadingClicked) -> None:
        if event.column == self._sort.column:
            self.action_reverse()
        elif self._table is not None:
            column = next(column for column in self._table.columns if column.id == event.column)
            self._order(Sort(column.id, column.descending))

    def _order(self, sort: Sort) -> None:
        self._sort = sort
        self.draw()

    def action_filter(self) -> None:
        self.query_one(FilterBar).open()

    @on(FilterBar.Changed)
    def _filter_changed(self, event: FilterBar.Changed) -> None:
        self._filter = Filter(event.text)
        self.draw()

    @on(FilterBar.Done)
    def _filter_done(self) -> None:
        self.query_one(FilterBar).close()
        self.query_one(UsageTable).focus()

    def action_clear(self) -> None:
        """Escape: the filter first, then the zoom."""
        bar = self.query_one(FilterBar)
        if bar.display or self._filter:
            bar.clear()
            self._filter_done()
        elif self._zoom:
            self._zoom = len(ZOOMS) - 1
            self.action_zoom()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.draw()

    def action_zoom(self) -> None:
        self._zoom = (self._zoom + 1) % len(ZOOMS)
        for at, name in enumerate(ZOOMS):
            if name:
                self.set_class(at == self._zoom, name)
        self.query_one(UsageTable).focus()

    def action_copy(self) -> None:
        key = self.query_one(UsageTable).cursor_key
        if key is not None:
            self.app.copy_to_clipboard(key[0])
            self.notify(f"copied {key[0]}", timeout=2, markup=False)

    def action_move(self, by: int) -> None:
        self.query_one(UsageTable).move(by)

    def action_page(self, by: int) -> None:
        self.query_one(UsageTable).page(by)

    def action_top(self) -> None:
        self.query_one(UsageTable).move_to(0)

    def action_bottom(self) -> None:
        self.query_one(UsageTable).move_to_end()

    def action_pan(self, by: int) -> None:
        self.query_one(UsageTable).pan(by)
        self._draw_title()
