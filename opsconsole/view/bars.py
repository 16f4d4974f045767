"""Bars made of characters: amounts beside each other, and columns over time that are stacked from several series.

Each bar stands on zero. The series of a stack differ by their filling, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from opsconsole.view import text
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone

FILLINGS: Final = {True: "█▓▒░·", False: "#%+-."}
"""Of the series of a stack, the largest first; without drawing characters the second ones."""
TONES: Final = (Tone.MONEY, Tone.TOKENS, Tone.ACCENT, Tone.PLAIN, Tone.FAINT)
MOST_SERIES: Final = 4
"""Series with a filling of their own; the rest are one."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Bar:
    """One amount; `told` is how it reads."""

    name: str
    value: float
    told: str


def bars(found: Sequence[Bar], width: int, height: int, tone: Tone, glyphs: Glyphs = UNICODE) -> list[Line]:
    """A line for each, the longest as long as there is room; the last one says how many there was no room for."""
    shown = list(found[:height])
    if len(found) > height:
        shown = shown[: max(0, height - 1)]
    names = min(max((len(bar.name) for bar in shown), default=0), max(8, width // 3))
    amounts = max((len(bar.told) for bar in shown), default=0)
    room = max(1, width - names - amounts - 4)
    most = max((bar.value for bar in shown), default=0.0)
    lines: list[Line] = [
        (
            Span(text.cut(bar.name, names, glyphs.ellipsis).ljust(names + 2)),
            Span(length(bar.value / most if most else 0.0, room, glyphs).ljust(room + 2), tone),
            Span(bar.told.rjust(amounts)),
        )
        for bar in shown
    ]
    if len(found) > len(shown):
        lines.append((Span(f"+{len(found) - len(shown):,} more", Tone.FAINT),))
    return lines


def length(share: float, room: int, glyphs: Glyphs = UNICODE) -> str:
    """A bar of this share of the room; what is small but not nothing shows."""
    if not glyphs.braille:
        return FILLINGS[False][0] * max(int(share > 0), round(share * room))
    eighths = max(int(share > 0), round(share * room * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    values: Sequence[float]


def stacked(series: Sequence[Series], width: int, height: int, glyphs: Glyphs = UNICODE) -> list[Line]:
    """Columns, one for each step, built up from the first series; the highest column is as high as there is room.

    A step that is more than nothing has at least one character.
    """
    steps = len(series[0].values) if series else 0
    if not steps or width < steps or height < 1:
        return []
    each = width // steps
    drawn = each - 1 if each > 2 else each
    fillings = FILLINGS[glyphs.braille]
    most = max(sum(one.values[at] for one in series) for at in range(steps))
    columns = [_column([one.values[at] for one in series], most, height) for at in range(steps)]
    lines: list[Line] = []
    for level in range(height - 1, -1, -1):
        spans: list[Span] = []
        for column in columns:
            owner = column[level] if level < len(column) else None
            if owner is None:
                spans.append(Span(" " * each))
            else:
                spans.append(Span((fillings[owner] * drawn).ljust(each), TONES[owner]))
        lines.append(tuple(spans))
    return lines


def _column(values: Sequence[float], most: float, height: int) -> list[int]:
    """Which series fills each level, from the base line up."""
    total = sum(values)
    if not total or not most:
        return []
    levels = max(1, round(total / most * height))
    filled: list[int] = []
    reached = 0.0
    for at, value in enumerate(values):
        reached += value
        filled += [at] * (round(reached / total * levels) - len(filled))
    return filled


def legend(series: Sequence[Series], width: int, glyphs: Glyphs = UNICODE) -> Line:
    """`█ acme  ▓ globex  ░ others`"""
    spans: list[Span] = []
    for at, one in enumerate(series):
        spans += [Span(FILLINGS[glyphs.braille][at], TONES[at]), Span(f" {one.name}   ", Tone.FAINT)]
    return text.cut_line(tuple(spans), width, glyphs.ellipsis)
