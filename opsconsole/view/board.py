"""The figures drawn: side by side as tiles, or one below the other as large graphs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from opsconsole.view import charts, text
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone
from opsconsole.view.tiles import Tile

GUTTER: Final = 2
SHORTEST_GRAPH: Final = 4


def board(tiles: Sequence[Tile], width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """`height` lines: name, value, then graph and remark as far as there is room."""
    if not tiles or width < 1:
        return ()
    cell = width // len(tiles)
    drawn = [_tile(tile, cell - GUTTER, height, glyphs) for tile in tiles]
    return tuple(
        tuple(chain.from_iterable(_padded(column[at], cell) for column in drawn if at < len(column)))
        for at in range(height)
    )


def _tile(tile: Tile, room: int, height: int, glyphs: Glyphs) -> list[Line]:
    graph_height = max(0, height - 3) if height > 3 else 0
    value = tile.value if text.width(tile.value) <= room else tile.short_value
    lines = [_name(tile, room, with_peak=graph_height > 0), text.cut_line(value, room, glyphs.ellipsis)]
    if graph_height:
        graph = charts.chart(tile.values, room, graph_height, glyphs)
        lines.extend((Span(drawn, tile.tone),) for drawn in graph.lines)
    if height > 2:
        lines.append(text.cut_line(tile.remark, room, glyphs.ellipsis))
    return lines


def _name(tile: Tile, room: int, *, with_peak: bool) -> Line:
    """The name, and at the right the maximum of the graph below."""
    peak = tile.peak if with_peak else ""
    name = tile.name if len(tile.name) + len(peak) + 1 <= room else tile.brief
    if len(name) + len(peak) + 1 > room:
        peak = peak.removeprefix("max ").removeprefix("p95 ")
    return text.cut_line((Span(name, Tone.FAINT), Span(peak.rjust(room - len(name)), Tone.FAINT)), room)


def _padded(spans: Line, size: int) -> Line:
    return (*spans, Span(" " * max(0, size - text.width(spans))))


def graphs(tiles: Sequence[Tile], width: int, height: int, since: str, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """As many large graphs as fit, each with its name, value and maximum; the last line says how far back they go."""
    shown = tiles[: max(1, (height - 1) // (SHORTEST_GRAPH + 2))]
    each = max(2, (height - 1) // len(shown) - 2)
    lines: list[Line] = []
    for tile in shown:
        lines.append(_graph_name(tile, width))
        lines.extend((Span(drawn, tile.tone),) for drawn in charts.chart(tile.values, width, each, glyphs).lines)
        lines.append(())
    lines[-1] = (Span(f"{since} ago", Tone.FAINT), Span("now".rjust(width - len(since) - 4), Tone.FAINT))
    return tuple(lines)


def _graph_name(tile: Tile, width: int) -> Line:
    left = (Span(f"{tile.name}  ", Tone.FAINT), *tile.value, Span("   ", Tone.FAINT), *tile.remark)
    return (*left, Span(tile.peak.rjust(max(1, width - text.width(left))), Tone.FAINT))
