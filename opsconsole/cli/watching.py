"""Shows the same thing again and again: in its place on a terminal, block after block where nothing may move.

Stays in the normal screen, so that what was shown last is still there when it ends. Ctrl-c ends it.
"""

from __future__ import annotations

import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from itertools import count
from typing import Annotated, Final

import typer

from opsconsole.cli.output import Format
from opsconsole.cli.session import Session

Times = Annotated[
    int | None, typer.Option("--count", metavar="N", min=1, help="Show it so often, then end; else until ctrl-c.")
]
Interval = Annotated[
    float, typer.Option("--interval", metavar="SECONDS", min=0.1, max=3600, help="How often it is read.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Never move the cursor, as screen readers need it.")]

_PARTS: Final = re.compile(r"\x1b\[[0-9;]*m|.")
"""Colours, and single characters."""
_UP: Final = "\x1b[{}F\x1b[J"
"""To the beginning of a line so many above, and clear what is below."""


def watch(
    session: Session, seconds: float, block: Callable[[], str], times: int | None, *, plain: bool = False
) -> None:
    """Write what `block` says every so many seconds.

    Where the cursor can move a block takes the place of the one before it, cut to the screen. Elsewhere a blank line
    stands between blocks of a table; lines of JSON follow each other.
    """
    moves = session.io.can_move and not plain and session.options.format is Format.TABLE
    between = "\n" if session.options.format is Format.TABLE else ""
    above = 0
    for first in _rounds(seconds, times):
        text = fitting(block(), shutil.get_terminal_size()) if moves else block()
        lead = _UP.format(above) if moves and above else "" if first or moves else between
        session.io.data(lead + text)
        above = text.count("\n")


def _rounds(seconds: float, times: int | None) -> Iterator[bool]:
    """Once each interval; whether it is the first."""
    for number in count() if times is None else range(times):
        if number:
            time.sleep(seconds)
        yield number == 0


def fitting(text: str, size: tuple[int, int]) -> str:
    """No more lines than a screen of so many columns and lines has, none of which wraps: going up reaches the first."""
    columns, rows = size[0], size[1] - 1
    lines = [_cut(line, columns) for line in text.splitlines()]
    if len(lines) > rows:
        lines[rows - 1 :] = [_cut(f"… {len(lines) - rows + 1} more lines", columns)]
    return "".join(f"{line}\n" for line in lines)


def _cut(line: str, columns: int) -> str:
    """`line` in so many cells; what sets colours takes none, and is kept also behind the cut."""
    used, kept = 0, ""
    for part in _PARTS.findall(line):
        used += 0 if part[0] == "\x1b" or unicodedata.combining(part) else _cells(part)
        if used <= columns or part[0] == "\x1b":
            kept += part
    return kept


def _cells(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
