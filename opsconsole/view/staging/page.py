"""A `Paper` as lines of a given width: what is too long is folded, a table that is too wide stands line by line.

Whatever a report holds is made harmless here, since answers of models and names from outside are in it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from opsconsole.view.paper import Paper, Table
from opsconsole.view.text import UNICODE, Line, Span, Tone, printable

GAP: Final = 2
NARROWEST: Final = 14
"""A column of words is not made narrower than this; before that, the table stands line by line."""
_LABEL: Final = 14


def lines(paper: Paper, width: int) -> tuple[Line, ...]:
    """All of it, in `width` characters."""
    found: list[Line] = [*_folded(paper.title, width, Tone.STRONG), ()]
    for name, told in paper.facts:
        found += labelled(name, told, width)
    if paper.findings:
        found += [(), *(line for told in paper.findings for line in _point(told, width))]
    for table in paper.tables:
        found += [(), (Span(printable(table.title), Tone.STRONG),), *_table(table, width)]
    if paper.remarks:
        found += [(), *(line for told in paper.remarks for line in _point(told, width, Tone.FAINT))]
    return tuple(found)


def labelled(name: str, told: str, width: int) -> Iterator[Line]:
    """A fact, what is too long below itself."""
    for at, part in enumerate(textwrap.wrap(printable(told), max(10, width - _LABEL)) or [""]):
        yield Span(("" if at else name).ljust(_LABEL), Tone.FAINT), Span(part, tone_of(told))


def tone_of(told: str) -> Tone:
    """By the sign a text begins with, if it does."""
    match told[:1]:
        case UNICODE.alarm:
            return Tone.ALARM
        case UNICODE.warning:
            return Tone.WARNING
        case _:
            return Tone.PLAIN


def _folded(told: str, width: int, tone: Tone) -> list[Line]:
    return [(Span(part, tone),) for part in textwrap.wrap(printable(told), max(10, width))]


def _point(told: str, width: int, tone: Tone = Tone.PLAIN) -> Iterator[Line]:
    tone = tone if tone is Tone.FAINT else tone_of(told)
    for at, part in enumerate(textwrap.wrap(printable(told), max(10, width - 2))):
        yield Span("  " if at else f"{UNICODE.separator} ", Tone.FAINT), Span(part, tone)


def _table(table: Table, width: int) -> list[Line]:
    rows = [[printable(cell) for cell in row] for row in (*table.rows, *([table.total] if table.total else ()))]
    natural = [max(map(len, column)) for column in zip(table.headings, *rows, strict=True)]
    widths = _fitted(natural, table.words, width)
    if widths is None:
        return _by_line(table.headings, rows, width)
    found = [_row(table.headings, widths, table.words, heading=True)]
    for row in rows:
        folded = [textwrap.wrap(cell, max(1, size)) or [""] for cell, size in zip(row, widths, strict=True)]
        for at in range(max(map(len, folded))):
            part = [each[at] if at < len(each) else "" for each in folded]
            found.append(_row(part, widths, table.words, whole=row))
    return found


def _fitted(natural: Sequence[int], words: int, width: int) -> list[int] | None:
    """Widths in which the table fits, columns of words having given way; None: it does not."""
    widths = list(natural)
    room = width - GAP * (len(widths) - 1)
    while sum(widths) > room:
        widest = max(range(words), key=lambda at: widths[at], default=None)
        if widest is None or widths[widest] <= NARROWEST:
            return None
        widths[widest] -= 1
    return widths


def _row(
    cells: Sequence[str], widths: Sequence[int], words: int, *, heading: bool = False, whole: Sequence[str] = ()
) -> Line:
    spans: list[Span] = []
    for at, (cell, size) in enumerate(zip(cells, widths, strict=True)):
        text = cell.ljust(size) if at < words else cell.rjust(size)
        tone = Tone.FAINT if heading else tone_of(whole[at] if whole else cell)
        spans += [*([Span(" " * GAP)] if at else []), Span(text, tone)]
    return tuple(spans)


def _by_line(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Each cell on a line of its own, rows apart."""
    found: list[Line] = []
    for row in rows:
        found += [()] if found else []
        for name, cell in zip(headings, row, strict=True):
            found += labelled(name[: _LABEL - 1], cell, width)
    return found
