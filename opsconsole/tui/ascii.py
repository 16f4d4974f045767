"""The last word on symbols, for a terminal that has only ASCII: whatever a widget draws, only ASCII leaves the console.

The pure part draws with `Glyphs`, which are made for this. Here what Textual, a title or a name brings along is put
into characters of the same width, so that nothing moves.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from opsconsole.view.text import ASCII_FOR


class AsciiFilter(LineFilter):
    """Draws every line in ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment if segment.text.isascii() else Segment(in_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


@lru_cache(4096)
def in_ascii(text: str) -> str:
    """`text` in as many ASCII characters as it fills cells."""
    return "".join(map(_in_ascii, text))


def _in_ascii(char: str) -> str:
    return char if char.isascii() else ASCII_FOR.get(char, "?" * get_character_cell_size(char))
