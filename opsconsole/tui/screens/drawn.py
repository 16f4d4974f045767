"""The drawing of a view: heading, tabs, a table with a pane beside it, the designed states.

A view tells its question, writes its table from its kind of snapshot, and adds what stands above, beside and below.
It draws the newest `Feed` through the pure functions of `opsconsole.view`. Pausing keeps the table as it is while the
figures go on; below a dialog or a menu only the heading is drawn, below another view nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widget import Widget

from opsconsole.tui.actions import Action
from opsconsole.tui.context import Context
from opsconsole.tui.widgets.filter_bar import FilterBar
from opsconsole.tui.widgets.heading import HeadingBar
from opsconsole.tui.widgets.key_bar import KeyBar
from opsconsole.tui.widgets.painted import Lines, Painted
from opsconsole.tui.widgets.view_table import ViewTable
from opsconsole.view import alerts, chrome, notices, text
from opsconsole.view.feed import Feed, Mode
from opsconsole.view.filters import Filter
from opsconsole.view.notices import Notice
from opsconsole.view.snapshot import Question, Snapshot
from opsconsole.view.table import RowKey, Sort, Table
from opsconsole.view.text import Line, Span, Tone

Breakpoints = list[tuple[int, str]] | None
S = TypeVar("S", bound=Snapshot)


class DrawnScreen(Screen[None], Generic[S]):
    """The drawing of a view. `S`: its kind of snapshot."""

    NAME: ClassVar[str] = ""
    """Of the tab it belongs to."""
    ACTIONS: ClassVar[tuple[Action, ...]] = ()
    """All of its own; set `BINDINGS = bindings(ACTIONS)` beside it."""
    SORT: ClassVar[Sort] = Sort("name", descending=False)
    AUTO_FOCUS = "ViewTable"
    HORIZONTAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-narrow"), (80, "-normal"), (118, "-wide"), (180, "-vast")]  # type: ignore[misc] # Textual declares it without ClassVar
    VERTICAL_BREAKPOINTS: ClassVar[Breakpoints] = [(0, "-short"), (20, "-medium"), (32, "-tall"), (44, "-huge")]  # type: ignore[misc]

    def __init__(self, context: Context, question: Question) -> None:
        super().__init__(classes=f"view-{self.NAME}")
        self.shared = context
        self.glyphs = context.glyphs
        self.question = question
        self.feed = Feed()
        self.kept: S | None = None
        """The snapshot in the table: the newest one, or the one it was paused at."""
        self.table: Table | None = None
        self.sort = self.SORT
        self.wanted = Filter()
        self.paused = False
        self._written_from: tuple[object, ...] = ()
        self._sought: RowKey | None = None
        """The row to put the cursor on as soon as it is there."""

    # What a view is made of

    def written(self, snapshot: S) -> Table:
        """Its table."""
        raise NotImplementedError

    def lead(self) -> Line:
        """What the table's title begins with."""
        raise NotImplementedError

    def empty(self, snapshot: S) -> Notice | None:
        """What stands in the place of a table without rows."""
        return Notice("Nothing here yet.")

    def above(self) -> Iterable[Widget]:
        """What stands above the table."""
        return ()

    def below(self) -> Iterable[Widget]:
        """What stands below it."""
        return ()

    def draw_figures(self, snapshot: S) -> None:
        """Paint what stands above and below."""

    def beside(self, snapshot: S, key: RowKey | None) -> Lines | None:
        """What the pane beside the table says of the cursor's row; None: no pane."""
        return None

    @property
    def window_label(self) -> str:
        """How far back it looks, in words; empty where it does not."""
        return ""

    def compose(self) -> ComposeResult:
        yield HeadingBar(self.NAME, self.glyphs)
        with Vertical(id="view"):
            yield from self.above()
            yield Painted(id="title")
            with Horizontal(id="middle"):
                yield ViewTable(self.glyphs, id="table")
                yield Painted(id="notice")
                yield Painted(id="side")
            yield from self.below()
        yield Painted(id="page")
        yield Painted(id="too-small")
        yield FilterBar(id="filter")
        yield KeyBar(self.shared.hints(self.ACTIONS), id="keys")

    # What arrives

    def show(self, newest: Feed) -> None:
        """Take the newest feed; drawn now if this screen is on top, else when it is again.

        An answer to a question of another view, or to one that is no longer asked, is none.
        """
        before = self.feed.snapshot
        if newest.snapshot is not None and newest.snapshot.question != self.question:
            if newest.failure is None:
                return
            newest = Feed(before, self.feed.read_at, newest.failure)
        self.feed = newest
        if not self.is_current:
            return
        if not self.is_active or (newest.snapshot is before and before is not None):
            self.draw_heading()
        else:
            self.draw()

    def on_mount(self) -> None:
        self.draw()

    def on_screen_resume(self) -> None:
        self.shared.ask(self.question)
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def tick(self) -> None:
        """A second has passed: only the clock and the ages have changed."""
        if self.is_current:
            self.draw_heading()

    def ask(self, question: Question) -> None:
        """Want something else to be known from now on."""
        if question != self.question:
            self.question = question
            self.shared.ask(question)
            self.draw_heading()
            self._draw_title()

    # Drawing

    @property
    def newest(self) -> S | None:
        """The newest snapshot of a gateway that is set up."""
        snapshot = self.feed.snapshot
        return cast("S", snapshot) if snapshot is not None and snapshot.setup.initialised else None

    def draw(self) -> None:
        """Everything, from the newest feed."""
        if not self.is_mounted:
            return
        with self.app.batch_update():
            self._choose_snapshot()
            self._draw_table()
            if self.newest is not None:
                self.draw_figures(self.newest)
            self.draw_heading()
            self._draw_title()
            self._draw_notices()

    def _choose_snapshot(self) -> None:
        newest, kept = self.newest, self.kept
        if not self.paused or kept is None or (newest is not None and kept.question != newest.question):
            self.kept = newest

    def _draw_table(self) -> None:
        written_from = (self.kept, self.sort, self.wanted)
        if self.kept is None or all(map(_same, written_from, self._written_from or (None,) * 3)):
            return
        self._written_from = written_from
        self.table = self.written(self.kept)
        self.sort = self.table.sort
        self.rows.show(self.table)
        if self._sought is not None and self.rows.select(self._sought):
            self._sought = None
        self._draw_beside()

    @on(ViewTable.Moved)
    def _draw_beside(self) -> None:
        if self.kept is None:
            return
        lines = self.beside(self.kept, self.rows.cursor_key)
        self.set_class(lines is not None, "-beside")
        if lines is not None:
            self.painted("side").paint(lines)

    def draw_heading(self) -> None:
        if not self.is_mounted:  # a second can pass before a screen that was just opened has anything on it
            return
        snapshot = self.newest
        told = alerts.alerts(snapshot, self.glyphs) if snapshot else ()
        self.query_one(HeadingBar).tell(
            chrome.Heading(
                feed=self.feed,
                mode=Mode(self.question, self.shared.interval(), paused=self.paused, window=self.window_label),
                now=self.shared.clock.now(),
                zone=self.shared.zone,
                alerts=len(told),
                urgent=any(alert.urgent for alert in told),
                read_only=self.shared.read_only,
            )
        )

    @on(ViewTable.Arranged)
    def _draw_title(self) -> None:
        table = self.table
        if table is None:
            return
        as_of = self.kept.taken_at.astimezone(self.shared.zone).strftime("%H:%M:%S") if self.kept else ""
        paused = as_of if self.paused else None
        hidden, lead, wanted = self.rows.hidden, self.lead(), self.wanted
        self.painted("title").paint(
            lambda width, _: (
                chrome.title(lead, table, wanted, width, paused=paused, hidden=hidden, glyphs=self.glyphs),
            )
        )

    def _draw_notices(self) -> None:
        found = notices.notice(self.feed, self.table, self.wanted, self._empty, self.glyphs)
        small = notices.too_small(self.size.width, self.size.height)
        whole = found is not None and found.whole
        self.update_classes(
            {
                "-too-small": small is not None,
                "-page": whole and small is None,
                "-notice": found is not None and not whole,
            }
        )
        self.query_one(KeyBar).offer(self.shared.hints(() if whole else self._possible()))
        told = found.drawn if found else (lambda _width, _height: ())
        self.painted("page").paint(told)
        self.painted("notice").paint(told)
        sentence: Line = (Span(small or "", Tone.WARNING),)
        self.painted("too-small").paint(lambda width, _: text.wrapped(sentence, width))

    def _possible(self) -> tuple[Action, ...]:
        """Its actions, where there is no row without those that want one."""
        if self.table is not None and self.table.rows:
            return self.ACTIONS
        return tuple(each for each in self.ACTIONS if not _wants_row(getattr(self, f"action_{each.name}", None)))

    def _empty(self) -> Notice | None:
        return self.empty(self.kept) if self.kept is not None else None

    def painted(self, name: str) -> Painted:
        return self.query_one(f"#{name}", Painted)

    @property
    def rows(self) -> ViewTable:
        return self.query_one(ViewTable)


def _wants_row(action: object) -> bool:
    return getattr(action, "wants_row", False)


def _same(one: object, other: object) -> bool:
    """Snapshots are compared by identity, since comparing them would cost more than drawing; the rest by value."""
    return one is other if isinstance(one, Snapshot) else one == other
