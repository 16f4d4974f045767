"""Makes an exported picture independent of fonts: dots are drawn, nothing is loaded from elsewhere.

Few monospaced fonts have braille, and a picture in a README cannot load one. So each braille character becomes circles
on the same grid, and the font list ends in fonts that are there.
"""

from __future__ import annotations

import re
from typing import Final

CELL_WIDTH: Final = 12.2
LINE_HEIGHT: Final = 24.4
BASELINE: Final = 20.0
"""From the top of a line to its text's baseline, as Rich draws it."""
RADIUS: Final = 2.1
FONTS: Final = "'Fira Code', 'DejaVu Sans Mono', Menlo, Consolas, monospace"

_BRAILLE = re.compile(r"<text ([^>]*)>([^<]*[\u2801-\u28ff][^<]*)</text>")
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_DOTS: Final = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille character."""


def portable(svg: str) -> str:
    """The picture with its dots drawn and without fonts to be loaded."""
    svg = _BRAILLE.sub(_drawn, _FONT_FACE.sub("", svg))
    return svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")


def _drawn(found: re.Match[str]) -> str:
    attributes, text = found[1], found[2].replace("&#160;", " ")
    left, baseline = float(_attribute(attributes, "x")), float(_attribute(attributes, "y"))
    circles = [
        f'<circle cx="{left + (at + 0.27 + 0.46 * column) * CELL_WIDTH:.1f}" '
        f'cy="{baseline - BASELINE + 1.5 + (row + 0.5) * LINE_HEIGHT / 4:.1f}" r="{RADIUS}"/>'
        for at, character in enumerate(text)
        for column, row in _dots(character)
    ]
    return f'<g class="{_attribute(attributes, "class")}">{"".join(circles)}</g>'


def _dots(character: str) -> list[tuple[int, int]]:
    bits = ord(character) - 0x2800
    return [place for bit, place in enumerate(_DOTS) if 0 < bits < 256 and bits >> bit & 1]


def _attribute(attributes: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', attributes)
    assert found is not None, f"Rich draws text without {name}"
    return found[1]
