"""The figures drawn: side by side as tiles, or one below the other as large graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from opsconsole.view import charts, text
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone

GUTTER: Final = 2
SHORTEST_GRAPH: Final = 4


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. Of `names`, `values` and `remarks` the first that fits is shown: the fullest comes first."""

    id: str
    share: int
    """Of the width, against the others."""
    names: tuple[str, ...]
    values: tuple[Line, ...]
    remarks: tuple[str, ...]
    series: charts.Values
    peak: str
    """The maximum of the graph, written."""
    tone: Tone


def board(tiles: Sequence[Tile], width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """`height` lines: name, value, then graph and remark as far as there is room."""
    if not tiles or width < 1:
        return ()
    shares = sum(tile.share for tile in tiles)
    cells = [width * tile.share // shares for tile in tiles]
    drawn = [_tile(tile, cell - GUTTER, height, glyphs) for tile, cell in zip(tiles, cells, strict=True)]
    return tuple(
        tuple(chain.from_iterable(padded(column[at], cell) for column, cell in zip(drawn, cells, strict=True)))
        for at in range(min(height, *(len(column) for column in drawn)))
    )


def _tile(tile: Tile, room: int, height: int, glyphs: Glyphs) -> list[Line]:
    graph_height = max(0, height - 3) if height > 3 else 0
    peak = tile.peak if graph_height else ""
    name = _first_fitting(tile.names, room - len(peak) - 1) or tile.names[-1]
    peak_fits = len(name) + len(peak) < room
    remark = _first_fitting(tile.remarks if peak_fits else (peak, peak.removeprefix("max ").removesuffix(" /h")), room)
    value = next((value for value in tile.values if text.width(value) <= room), tile.values[-1])
    lines: list[Line] = [
        (Span(name, Tone.FAINT), Span(peak.rjust(room - len(name)) if peak_fits else "", Tone.FAINT)),
        text.cut_line(value, room, glyphs.ellipsis),
    ]
    if graph_height:
        lines.extend((Span(drawn, tile.tone),) for drawn in charts.chart(tile.series, room, graph_height, glyphs).lines)
    if height > 2:
        lines.append((Span(text.cut(remark, room, glyphs.ellipsis), Tone.FAINT),))
    return lines


def _first_fitting(texts: Sequence[str], room: int) -> str:
    return next((candidate for candidate in texts if len(candidate) <= room), "")


def padded(spans: Line, size: int) -> Line:
    return (*spans, Span(" " * max(0, size - text.width(spans))))


def graphs(tiles: Sequence[Tile], width: int, height: int, since: str, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """As many large graphs as fit, each with its name, value and maximum; the last line says how far back they go."""
    shown = tiles[: max(1, (height - 1) // (SHORTEST_GRAPH + 2))]
    each = max(2, (height - 1) // len(shown) - 2)
    lines: list[Line] = []
    for tile in shown:
        lines.append(_graph_name(tile, width))
        lines.extend((Span(drawn, tile.tone),) for drawn in charts.chart(tile.series, width, each, glyphs).lines)
        lines.append(())
    lines[-1] = (Span(f"{since} ago", Tone.FAINT), Span("now".rjust(width - len(since) - 4), Tone.FAINT))
    return tuple(lines)


def _graph_name(tile: Tile, width: int) -> Line:
    left = (Span(f"{tile.names[0]}  ", Tone.FAINT), *tile.values[0], Span(f"   {tile.remarks[0]}", Tone.FAINT))
    return (*left, Span(tile.peak.rjust(max(1, width - text.width(left))), Tone.FAINT))
