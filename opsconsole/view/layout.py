"""How wide each column of a table is, and which columns stay when there is not room for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opsconsole.view.table import Table

GAP: Final = 2
MARGIN: Final = 2
"""Room at the left for the cursor."""
NICE_TO_HAVE: Final = 5
"""From this rank on, a column goes before names are cut."""
SHORTEST_NAME: Final = 10
LONGEST_NAME: Final = 44


@dataclass(frozen=True, slots=True)
class Placed:
    """A column that is shown: its place in the row and its width."""

    index: int
    width: int
    right: bool


def place(table: Table, room: int, pan: int = 0) -> tuple[Placed, ...]:
    """The columns that fit into `room` characters: the least important go first, then names are shortened.

    `pan` leaves out that many columns after the names, so that what did not fit can be brought into sight.
    """
    natural = [_natural_width(table, at) for at in range(len(table.columns))]
    kept = _panned(table, pan)
    # Names are kept whole at the price of the columns that are only nice to have, and no others.
    for widths, lowest in ((natural, NICE_TO_HAVE), (_squeezed(table, natural), 1)):
        while _total(kept, widths) > room and (droppable := _droppable(table, kept, lowest, pan)):
            kept.remove(droppable)
    fitted = _fitted(table, natural, kept, room)
    return tuple(Placed(at, fitted[at], table.columns[at].right) for at in kept)


def _droppable(table: Table, kept: Sequence[int], lowest: int, pan: int) -> int | None:
    """The next column to go: the least important one, or the last one when panning."""
    figures = [at for at in kept if not _is_name(table, at)]
    if pan:
        return figures[-1] if lowest == 1 and len(figures) > 1 else None
    ranked = [at for at in figures if table.columns[at].rank >= lowest]
    return max(ranked, key=lambda at: table.columns[at].rank, default=None)


def _panned(table: Table, pan: int) -> list[int]:
    names = [at for at in range(len(table.columns)) if _is_name(table, at)]
    figures = [at for at in range(len(table.columns)) if not _is_name(table, at)]
    return names + figures[min(pan, len(figures) - 1) :]


def _natural_width(table: Table, at: int) -> int:
    """The widest cell or heading; the sort mark stands in the gap, so that sorting moves nothing."""
    widest = max([len(row.cells[at].text) for row in table.rows], default=0)
    return max(len(table.columns[at].heading), min(widest, LONGEST_NAME))


def _is_name(table: Table, at: int) -> bool:
    return table.columns[at].is_name


def _squeezed(table: Table, natural: Sequence[int]) -> list[int]:
    """Widths where names give way first, down to what still tells two of them apart."""
    return [min(width, SHORTEST_NAME + 6) if _is_name(table, at) else width for at, width in enumerate(natural)]


def _total(kept: Sequence[int], widths: Sequence[int]) -> int:
    return MARGIN + sum(widths[at] for at in kept) + GAP * max(0, len(kept) - 1)


def _fitted(table: Table, natural: Sequence[int], kept: Sequence[int], room: int) -> list[int]:
    """Names in full where there is room; else they give up one character in turn, the longest first."""
    widths = list(natural)
    names = [at for at in kept if _is_name(table, at)]
    while names and _total(kept, widths) > room:
        longest = max(names, key=lambda at: widths[at])
        if widths[longest] <= SHORTEST_NAME:
            break
        widths[longest] -= 1
    return widths
