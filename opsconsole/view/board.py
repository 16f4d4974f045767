"""The figures drawn: side by side as tiles, or one below the other as large graphs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

from opsconsole.view import charts, health, text
from opsconsole.view.alerts import Alert
from opsconsole.view.snapshot import TargetTraffic
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone
from opsconsole.view.tiles import Tile

GUTTER: Final = 2
SHORTEST_GRAPH: Final = 4


def board(tiles: Sequence[Tile], width: int, height: int, glyphs: Glyphs = UNICODE) -> tuple[Line, ...]:
    """`height` lines: name, value, then graph and remark as far as there is room."""
    if not tiles or width < 1:
        return ()
    shares = sum(tile.share for tile in tiles)
    cells = [width * tile.share // shares for tile in tiles]
    drawn = [_tile(tile, cell - GUTTER, height, glyphs) for tile, cell in zip(tiles, cells, strict=True)]
    return tuple(
        tuple(chain.from_iterable(_padded(column[at], cell) for column, cell in zip(drawn, cells, strict=True)))
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


def _padded(spans: Line, size: int) -> Line:
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


def foot(
    targets: Sequence[TargetTraffic], alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs = UNICODE
) -> tuple[Line, ...]:
    """Targets and alerts: on a line each, or as two lists side by side; on a single line alerts, if there are any."""
    if height > 2:
        half = width // 2
        left = _padded_lines(_target_list(targets, half - 2 * GUTTER, height, glyphs), half, height)
        right = _padded_lines(_alert_list(alerts, width - half, height, glyphs), width - half, height)
        return tuple((*first, *second) for first, second in zip(left, right, strict=True))
    named = (Span("targets  ", Tone.FAINT), *health.one_line(targets, width - 9, glyphs))
    warned = (Span("alerts   ", Tone.FAINT), *_alert_line(alerts, width - 9, glyphs))
    if height == 1:
        return (warned if alerts else named,)
    return named, warned


def side(
    targets: Sequence[TargetTraffic], alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs = UNICODE
) -> tuple[Line, ...]:
    """Alerts and targets below each other, for a wide terminal."""
    above = _alert_list(alerts, width, height // 2, glyphs)
    return (*above, (), *_target_list(targets, width, height - len(above) - 1, glyphs))


def _alert_line(alerts: Sequence[Alert], room: int, glyphs: Glyphs) -> Line:
    if not alerts:
        return (Span("none", Tone.FAINT),)
    shown: list[Span] = []
    used = 0
    for at, alert in enumerate(alerts):
        span = alert.span(glyphs)
        rest = len(alerts) - at
        if shown and used + len(span.text) + (11 if rest > 1 else 0) > room:
            shown.append(Span(f"+{rest} more", Tone.FAINT))
            break
        shown += [span, Span("   ")]
        used += len(span.text) + 3
    return tuple(shown)


def _alert_list(alerts: Sequence[Alert], width: int, height: int, glyphs: Glyphs) -> list[Line]:
    told = [part for alert in alerts for part in text.wrapped((alert.span(glyphs),), width)]
    return _list("alerts", told, "none", height)


def _target_list(targets: Sequence[TargetTraffic], width: int, height: int, glyphs: Glyphs) -> list[Line]:
    told = [health.spread(target, width, glyphs) for target in health.worst_first(targets)]
    return _list("targets, last minutes", told, "none has served", height)


def _list(title: str, told: Sequence[Line], nothing: str, height: int) -> list[Line]:
    """A title and as many lines as fit below it, the last one saying how many do not."""
    room = height - 1
    shown = list(told) or [(Span(nothing, Tone.FAINT),)]
    if len(shown) > room:
        shown = [*shown[: room - 1], (Span(f"+{len(shown) - room + 1} more", Tone.FAINT),)]
    return [(Span(title, Tone.FAINT),), *shown]


def _padded_lines(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    return [_padded(line, width) for line in (*lines, *[()] * (height - len(lines)))]
