"""The table: rows that keep their identity.

A new `Table` is reconciled with the old one by row key: the cursor stays on its row, the scroll stays where it is
unless the cursor's row would leave the sight, and only rows whose text changed are drawn anew. Columns that find no
room are left out; `pan` brings them into sight.
"""

from __future__ import annotations

from typing import ClassVar, Final

from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from opsconsole.tui.widgets.painted import Toned
from opsconsole.view.layout import GAP, MARGIN, Placed, place
from opsconsole.view.table import RowKey, Table, TableRow
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, cut

HEADER_LINES: Final = 1


class ViewTable(Toned, ScrollView, can_focus=True, inherit_bindings=False):
    """Shows a `Table`; knows which row the cursor is on by that row's key."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "table--heading",
        "table--sorted",
        "table--cursor",
    }

    class HeadingClicked(Message):
        """A column's heading was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Arranged(Message):
        """Other columns are shown than before."""

    class Moved(Message):
        """The cursor is on another row than before."""

    class Opened(Message):
        """The row under the cursor was clicked."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._glyphs = glyphs
        self._table: Table | None = None
        self._placed: tuple[Placed, ...] = ()
        self._pan = 0
        self._cursor = 0
        self._chosen = False
        """Whether a row was picked; until then the cursor is on the first one, whichever that is."""
        self._told: RowKey | None = None
        """The row that `Moved` was last about."""
        self._strips: dict[RowKey, tuple[TableRow, bool, Strip]] = {}

    @property
    def cursor_key(self) -> RowKey | None:
        rows = self._rows
        return rows[self._cursor].key if rows else None

    @property
    def _rows(self) -> tuple[TableRow, ...]:
        return self._table.rows if self._table else ()

    @property
    def hidden(self) -> tuple[str, ...]:
        """The headings of the columns that found no room."""
        if self._table is None or not self._table.rows:
            return ()
        shown = {placed.index for placed in self._placed}
        return tuple(head.heading for at, head in enumerate(self._table.columns) if at not in shown)

    def show(self, table: Table) -> None:
        """Take the place of the table before."""
        key = self.cursor_key
        in_sight = self._cursor_in_sight()
        regrouped = self._table is not None and self._table.kind != table.kind
        self._table = table
        self._cursor = 0 if regrouped else self._find(key)
        self._pan = 0 if regrouped else self._pan
        self._arrange()
        if in_sight or regrouped:
            self._bring_into_sight()
        self._tell_if_moved()

    def _find(self, key: RowKey | None) -> int:
        """Where the row with this key is now; where it was if it has gone."""
        if not self._chosen:
            return 0
        at = next((at for at, row in enumerate(self._rows) if row.key == key), self._cursor)
        return max(0, min(at, len(self._rows) - 1))

    def _arrange(self) -> None:
        """Fit the columns to the width, forget strips of another layout, draw."""
        if self._table is None:
            return
        placed = place(self._table, self.size.width - 1, self._pan)
        if placed != self._placed:
            self._strips.clear()
            self._placed = placed
            self.post_message(self.Arranged())
        keys = {row.key for row in self._rows}
        self._strips = {key: kept for key, kept in self._strips.items() if key in keys}
        self.virtual_size = Size(self.size.width, len(self._rows) + HEADER_LINES)
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._strips.clear()

    def on_resize(self) -> None:
        self._arrange()
        self._bring_into_sight()

    def move(self, by: int) -> None:
        self.move_to(self._cursor + by)

    def move_to(self, row: int) -> None:
        self._chosen = True
        self._cursor = max(0, min(row, len(self._rows) - 1))
        self._bring_into_sight()
        self.refresh()
        self._tell_if_moved()

    def _tell_if_moved(self) -> None:
        if self.cursor_key != self._told:
            self._told = self.cursor_key
            self.post_message(self.Moved())

    def select(self, key: RowKey) -> bool:
        """Put the cursor on the first row whose key begins with this one; False where there is none."""
        at = next((at for at, row in enumerate(self._rows) if row.key[: len(key)] == key), None)
        if at is not None:
            self.move_to(at)
        return at is not None

    def move_to_end(self) -> None:
        self.move_to(len(self._rows) - 1)

    def page(self, by: int) -> None:
        self.move(by * max(1, self._visible - 1))

    def pan(self, by: int) -> None:
        """Leave out more or fewer of the first columns; no further than to the last one."""
        if by < 0 or self._last_is_hidden():
            self._pan = max(0, self._pan + by)
            self._arrange()

    def _last_is_hidden(self) -> bool:
        if self._table is None or not self.hidden:
            return False
        last = len(self._table.columns) - 1
        return last not in {placed.index for placed in self._placed}

    @property
    def _visible(self) -> int:
        return max(1, self.size.height - HEADER_LINES)

    def _cursor_in_sight(self) -> bool:
        top = self.scroll_offset.y
        return top <= self._cursor < top + self._visible

    def _bring_into_sight(self) -> None:
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + self._visible:
            self.scroll_to(y=self._cursor - self._visible + 1, animate=False)

    def on_click(self, event: events.Click) -> None:
        if event.y >= HEADER_LINES:
            row = event.y - HEADER_LINES + self.scroll_offset.y
            if row == self._cursor and self._chosen:
                self.post_message(self.Opened())
            elif row < len(self._rows):
                self.move_to(row)
        elif (column := self._column_at(event.x)) is not None:
            self.post_message(self.HeadingClicked(column))

    def _column_at(self, x: int) -> str | None:
        left = MARGIN
        for placed in self._placed:
            if self._table is not None and left <= x < left + placed.width + GAP:
                return self._table.columns[placed.index].id
            left += placed.width + GAP
        return None

    def render_line(self, y: int) -> Strip:
        if self._table is not None and y < HEADER_LINES:
            return self._heading(self._table)
        at = y - HEADER_LINES + self.scroll_offset.y
        if not 0 <= at < len(self._rows):
            return Strip.blank(self.size.width, self.base_style)
        return self._row(self._rows[at], selected=at == self._cursor)

    def _row(self, row: TableRow, *, selected: bool) -> Strip:
        kept = self._strips.get(row.key)
        if kept is not None and kept[0] == row and kept[1] is selected:
            return kept[2]
        strip = self._drawn(row, selected=selected)
        self._strips[row.key] = (row, selected, strip)
        return strip

    def _drawn(self, row: TableRow, *, selected: bool) -> Strip:
        base = self.base_style
        if selected:
            base += self.get_component_rich_style("table--cursor", partial=True)
        mark = f"{self._glyphs.cursor} " if selected else "  "
        segments = [Segment(mark, base + self.tone_style(Tone.ACCENT))]
        for placed in self._placed:
            span = row.cells[placed.index]
            segments.append(Segment(self._fitted(span, placed), base + self.tone_style(span.tone)))
            segments.append(Segment(" " * GAP, base))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _heading(self, table: Table) -> Strip:
        style = self.base_style + self.get_component_rich_style("table--heading", partial=True)
        segments = [Segment(" " * MARGIN, style)]
        for placed in self._placed:
            is_sorted = table.columns[placed.index].id == table.sort.column
            text = self._fitted(Span(table.columns[placed.index].heading), placed)
            own, mark = style, ""
            if is_sorted:
                own += self.get_component_rich_style("table--sorted", partial=True)
                mark = self._glyphs.descending if table.sort.descending else self._glyphs.ascending
            segments.append(Segment(text + mark.ljust(GAP), own))
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def _fitted(self, span: Span, placed: Placed) -> str:
        text = cut(span.text, placed.width, self._glyphs.ellipsis)
        return text.rjust(placed.width) if placed.right else text.ljust(placed.width)
