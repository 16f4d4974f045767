"""Tables, as any view has them: typed columns over its own rows, filtered, ordered, cut, written.

Values are filtered and ordered first and written last, so that ten thousand rows cost little more than the two hundred
that are shown. The order is total (ties go by key), so it changes only when the values do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from opsconsole.view.filters import Filter
from opsconsole.view.text import Span

MOST_ROWS: Final = 200
RowKey = tuple[str, ...]
SortValue = str | float | None
R = TypeVar("R")
OfR = TypeVar("OfR", contravariant=True)
"""What a column can show: a column of a kind of rows shows every narrower kind."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What the table widget must know of a column. `rank`: 0 always shows; else the highest goes first for room."""

    id: str
    heading: str
    """With the unit, if its numbers have one."""
    rank: int
    right: bool = True
    is_name: bool = False
    """Names come first, are cut last and stay in sight when panning."""
    descending: bool = True
    """The direction that is of use at first: big numbers on top, names from A."""


@dataclass(frozen=True, slots=True)
class Column(Generic[OfR]):
    """A heading, what the column sorts by (None: unknown), and how a row's cell is written."""

    head: Heading
    value: Callable[[OfR], SortValue]
    cell: Callable[[OfR], Span]
    sorts: bool = True
    """Whether `s` stops at it: not where another column gives the same order."""

    @property
    def id(self) -> str:
        return self.head.id


def name_column(
    id_: str, heading: str, value: Callable[[R], str], cell: Callable[[R], Span] | None = None
) -> Column[R]:
    """A column of names: on the left, never dropped, ordered from A without regard to case."""
    head = Heading(id_, heading, 0, right=False, is_name=True, descending=False)
    return Column(head, lambda row: value(row).casefold(), cell or (lambda row: Span(value(row))))


@dataclass(frozen=True, slots=True)
class Sort:
    """By which column, and which way."""

    column: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class TableRow:
    """One written line; `key` stays the same from one snapshot to the next."""

    key: RowKey
    cells: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What the table widget shows."""

    kind: Hashable
    """What the rows stand for: under another kind the cursor begins at the top."""
    columns: tuple[Heading, ...]
    rows: tuple[TableRow, ...]
    sort: Sort
    matching: int
    total: int
    more: bool = False
    """The reader itself cut the rows, so that `total` is only a lower bound."""
    sortable: tuple[str, ...] = ()
    """The columns by which `s` orders, in turn."""

    @property
    def tally(self) -> str:
        """`24 of 24`, `3 of 24`, `showing 200 of >200`."""
        bound = ">" if self.more else ""
        if len(self.rows) < self.matching or self.more:
            return f"showing {len(self.rows):,} of {bound}{self.matching:,}"
        return f"{self.matching:,} of {self.total:,}"

    def next_sort(self) -> Sort:
        """The next column to the right, in the direction that is of use for it."""
        ids = self.sortable
        following = ids[(ids.index(self.sort.column) + 1) % len(ids)] if self.sort.column in ids else ids[0]
        return self.sort_by(following)

    def sort_by(self, column: str) -> Sort:
        """By a column, in its usual direction."""
        return Sort(column, next(head.descending for head in self.columns if head.id == column))


def write(
    rows: Sequence[R],
    columns: Sequence[Column[R]],
    sort: Sort,
    *,
    key: Callable[[R], RowKey],
    names: Callable[[R], Sequence[str]],
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    kind: Hashable = "",
    usual: Sort | None = None,
    more: bool = False,
    most: int = MOST_ROWS,
    tie: Callable[[R], RowKey] | None = None,
) -> Table:
    """The written table of some rows. `names`: what the filter looks at; `usual`: the order where `sort` names a
    column that is not there; `tie`: the order of rows with equal values, by key where it is not given."""
    if sort.column not in {column.id for column in columns}:
        sort = usual or Sort(columns[0].id, columns[0].head.descending)
    matching = [row for row in rows if wanted.matches(*names(row))] if wanted else rows
    by = next(column for column in columns if column.id == sort.column)
    ordered = order(matching, by, tie or key, descending=sort.descending)[:most]
    return Table(
        kind=kind,
        columns=tuple(column.head for column in columns),
        rows=tuple(TableRow(key(row), tuple(column.cell(row) for column in columns)) for row in ordered),
        sort=sort,
        matching=len(matching),
        total=len(rows),
        more=more,
        sortable=tuple(column.id for column in columns if column.sorts),
    )


def order(rows: Sequence[R], column: Column[R], key: Callable[[R], RowKey], *, descending: bool) -> list[R]:
    """Rows by a column; unknown values last whichever way, equal ones by key."""
    valued = [(column.value(row), row) for row in sorted(rows, key=key)]
    known = [(value, row) for value, row in valued if value is not None]
    # `reverse` keeps equal elements in their order, so ties stay by key both ways.
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [row for _, row in known] + [row for value, row in valued if value is None]
