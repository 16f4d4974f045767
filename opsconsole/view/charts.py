"""Graphs made of characters. Every graph stands on zero and knows its maximum, so that the maximum can be printed.

Braille packs two steps by four levels into a character; without braille, ASCII packs one by three. A step that is
None stays empty, which is not the same as zero: zero draws the base line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from opsconsole.view.text import UNICODE, Glyphs

Values = Sequence[float | None]

_LEFT: Final = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT: Final = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_ASCII: Final = " .:|"


@dataclass(frozen=True, slots=True)
class Chart:
    lines: tuple[str, ...]
    """Top line first, all equally wide."""
    maximum: float | None
    """The value at the top; None where there is nothing to show."""


def chart(values: Values, width: int, height: int, glyphs: Glyphs = UNICODE) -> Chart:
    """An area graph of `width` by `height` characters, the newest value at the right."""
    peak = top(values)
    across, levels = (2, 4) if glyphs.braille else (1, 3)
    steps = resample(values, width * across)
    heights = [_height(step, peak, height * levels) for step in steps]
    draw = _braille_line if glyphs.braille else _ascii_line
    return Chart(tuple(draw(heights, levels * floor) for floor in range(height - 1, -1, -1)), peak)


@lru_cache(maxsize=1024)
def trend(values: tuple[float | None, ...], width: int, glyphs: Glyphs = UNICODE) -> str:
    """One line of blocks, at most `width` wide: the shape of a row's own traffic. Kept, as it changes once a minute."""
    if not values:
        return ""
    peak = top(values)
    steps = resample(values, width)
    return "".join(" " if step is None else glyphs.blocks[_height(step, peak, 8) - 1] for step in steps)


def top(values: Iterable[float | None]) -> float | None:
    """The largest known value, None where none is known."""
    return max((value for value in values if value is not None), default=None)


def resample(values: Values, width: int) -> list[float | None]:
    """Exactly `width` steps: repeated where there are fewer, their peaks where there are more (no spike is lost)."""
    size = len(values)
    if not size:
        return [None] * width
    if size <= width:
        return [values[at * size // width] for at in range(width)]
    return [top(values[at * size // width : (at + 1) * size // width]) for at in range(width)]


def _height(value: float | None, peak: float | None, levels: int) -> int:
    """How many of `levels` a value fills: none where unknown, one (the base line) for zero, all at the peak."""
    if value is None:
        return 0
    if not peak or value <= 0:
        return 1
    return 1 + round(value / peak * (levels - 1))


def _braille_line(heights: Sequence[int], base: int) -> str:
    cells = (
        chr(0x2800 + _LEFT[_within(left - base, 4)] + _RIGHT[_within(right - base, 4)])
        for left, right in zip(heights[::2], heights[1::2], strict=True)
    )
    return "".join(cells).replace("\u2800", " ")


def _ascii_line(heights: Sequence[int], base: int) -> str:
    return "".join(_ASCII[_within(height - base, 3)] for height in heights)


def _within(height: int, levels: int) -> int:
    return max(0, min(levels, height))
