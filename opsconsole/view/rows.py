"""From a snapshot to the rows of the Live table: filtered, ordered, cut, written.

Values are filtered and ordered first and written last, so that a thousand rows cost no more than the two hundred that
are shown. The order is total (ties go by name), so it changes only when the figures do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opsconsole.view.columns import Column, Scale, columns, scale_of
from opsconsole.view.filters import Filter
from opsconsole.view.snapshot import GroupBy, Row, Snapshot
from opsconsole.view.text import UNICODE, Glyphs, Span

MOST_ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class Sort:
    """By which column, and which way."""

    column: str = "cost"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class TableRow:
    """One written line; `key` stays the same from one snapshot to the next."""

    key: tuple[str, str]
    cells: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What the table widget shows."""

    by: GroupBy
    columns: tuple[Column, ...]
    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]
    sort: Sort
    matching: int
    total: int
    more: bool
    """The reader itself cut the rows, so that `total` is only a lower bound."""

    @property
    def tally(self) -> str:
        """`24 of 24`, `3 of 24`, `showing 200 of >200`."""
        bound = ">" if self.more else ""
        if len(self.rows) < self.matching or self.more:
            return f"showing {len(self.rows):,} of {bound}{self.matching:,}"
        return f"{self.matching:,} of {self.total:,}"


def table(
    snapshot: Snapshot,
    sort: Sort = Sort(),
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
    most: int = MOST_ROWS,
) -> Table:
    """The written table of a snapshot."""
    by = snapshot.question.by
    shown = columns(by)
    if sort.column not in {column.id for column in shown}:
        sort = Sort()
    matching = [row for row in snapshot.rows if wanted.matches(row.group, row.model)]
    ordered = order(matching, _column(shown, sort.column), descending=sort.descending)[:most]
    scale = scale_of(snapshot.rows, snapshot.question.window.seconds, glyphs)
    return Table(
        by=by,
        columns=shown,
        headings=tuple(column.heading(scale) for column in shown),
        rows=tuple(_written(row, shown, scale) for row in ordered),
        sort=sort,
        matching=len(matching),
        total=len(snapshot.rows),
        more=snapshot.more_rows,
    )


def order(rows: Sequence[Row], column: Column, *, descending: bool) -> list[Row]:
    """Rows by a column; unknown values last whichever way, equal ones by name."""
    by_name = sorted(rows, key=lambda row: row.key)
    known = [row for row in by_name if column.value(row) is not None]
    unknown = [row for row in by_name if column.value(row) is None]
    # `reverse` keeps equal elements in their order, so ties stay by name both ways.
    return sorted(known, key=column.value, reverse=descending) + unknown  # type: ignore[arg-type]


def next_sort(current: Sort, offered: Sequence[Column]) -> Sort:
    """The next column to the right, in the direction that is of use for it."""
    distinct = [column for column in offered if column.id not in ("rate", "share", "trend")]
    ids = [column.id for column in distinct]
    following = distinct[(ids.index(current.column) + 1) % len(ids)] if current.column in ids else distinct[0]
    return Sort(following.id, following.descending)


def _column(offered: Sequence[Column], wanted: str) -> Column:
    return next(column for column in offered if column.id == wanted)


def _written(row: Row, shown: Sequence[Column], scale: Scale) -> TableRow:
    return TableRow(row.key, tuple(column.cell(row, scale) for column in shown))
