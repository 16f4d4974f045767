"""The lines around the table: heading, title, key bar. Parts that matter less go first when there is little room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from opsconsole.view import text
from opsconsole.view.feed import Feed, Mode, status
from opsconsole.view.filters import Filter
from opsconsole.view.table import Table
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line

SPACE: Final = Span("  ")


class Part(NamedTuple):
    """Something that stands in a line if there is room; the highest rank goes first, 0 never goes."""

    spans: Line
    rank: int = 0


def spread(left: Sequence[Part], right: Sequence[Part], room: int, gap: int = 3) -> Line:
    """Parts at both ends of a line of exactly `room` characters."""
    lefts, rights = list(left), list(right)

    def needed() -> int:
        parts = lefts + rights
        return sum(text.width(part.spans) for part in parts) + gap * max(0, len(parts) - 1)

    while needed() > room:
        droppable = [part for part in lefts + rights if part.rank]
        if not droppable:
            break
        worst = max(droppable, key=lambda part: part.rank)
        (lefts if worst in lefts else rights).remove(worst)
    first, last = _joined(lefts, gap), _joined(rights, gap)
    between = max(1, room - text.width(first) - text.width(last))
    return text.cut_line((*first, Span(" " * between), *last), room)


def _joined(parts: Sequence[Part], gap: int) -> Line:
    spans: list[Span] = []
    for part in parts:
        if spans:
            spans.append(Span(" " * gap))
        spans.extend(part.spans)
    return tuple(spans)


class Heading(NamedTuple):
    """What the first line is made of."""

    feed: Feed
    mode: Mode
    now: datetime
    zone: tzinfo | None
    alerts: int
    urgent: bool
    read_only: bool


def heading(told: Heading, room: int, glyphs: Glyphs = UNICODE) -> Line:
    """`gateway   last 15 m   ● live  every 1 s · 0.4 s old        ▲ 2 alerts   Sun 14:03:11`"""
    state = status(told.feed, told.mode, told.now, glyphs)
    clock = told.now.astimezone(told.zone)
    window = line(Span("last ", Tone.FAINT), Span(told.mode.window, Tone.STRONG))
    left = [
        Part(line(Span("gateway", Tone.ACCENT)), 4),
        *([Part(line(Span("read-only", Tone.FAINT)), 3)] if told.read_only else []),
        *([Part(window)] if told.mode.window else []),
        Part(state[:1]),
        *([Part(state[1:], 5)] if state[1:] else []),
    ]
    right = [
        *([Part(_alert_count(told, glyphs), 1)] if told.alerts else []),
        Part(line(Span(clock.strftime("%a"), Tone.FAINT)), 6),
        Part(line(Span(clock.strftime("%H:%M:%S"))), 2),
    ]
    return spread(left, right, room, gap=2)


def _alert_count(told: Heading, glyphs: Glyphs) -> Line:
    symbol, tone = (glyphs.alarm, Tone.ALARM) if told.urgent else (glyphs.warning, Tone.WARNING)
    return line(Span(f"{symbol} {told.alerts} alert{'s' if told.alerts > 1 else ''}", tone))


def title(
    lead: Line,
    table: Table,
    wanted: Filter,
    room: int,
    *,
    paused: str | None = None,
    hidden: Sequence[str] = (),
    glyphs: Glyphs = UNICODE,
) -> Line:
    """The table's own line: what it shows, filter, how many rows, order, and which columns there was no room for."""
    filtered = Span(wanted.text.strip(), Tone.ACCENT) if wanted else Span(glyphs.unknown, Tone.FAINT)
    by = next(head for head in table.columns if head.id == table.sort.column)
    column = by.heading.lower() if by.is_name else by.id
    way = glyphs.descending if table.sort.descending else glyphs.ascending
    left = [
        Part(lead),
        *([Part(line(Span(f"{glyphs.paused} as of {paused}", Tone.ACCENT)))] if paused else []),
        Part(line(Span("filter: ", Tone.FAINT), filtered), 0 if wanted else 2),
    ]
    more = f"{len(hidden)} more column{'s' if len(hidden) > 1 else ''} {glyphs.arrow}"
    right = [
        *([Part(line(Span(more, Tone.FAINT)), 3)] if hidden else []),
        Part(line(Span(table.tally, Tone.FAINT)), 0 if table.more or wanted else 1),
        Part(line(Span("sort: ", Tone.FAINT), Span(f"{column} {way}")), 4),
    ]
    return spread(left, right, room)


class Tab(NamedTuple):
    """A view, by the key that opens it."""

    key: str
    name: str
    action: str = ""


class PlacedTab(NamedTuple):
    """A tab and the column it begins at."""

    at: int
    tab: Tab


def tabs(views: Sequence[Tab], room: int, left: int = 0) -> tuple[PlacedTab, ...]:
    """The views side by side, closer to each other where there is little room."""
    gap = 3 if sum(len(tab.key) + len(tab.name) + 4 for tab in views) <= room else 1
    placed: list[PlacedTab] = []
    for tab in views:
        placed.append(PlacedTab(left, tab))
        left += len(tab.key) + 1 + len(tab.name) + gap
    return tuple(placed)


class Hint(NamedTuple):
    """A key and what it does, as the key bar says it; the highest rank goes first."""

    key: str
    does: str
    rank: int
    action: str = ""


class PlacedHint(NamedTuple):
    """A hint and the column it begins at."""

    at: int
    hint: Hint


def key_bar(hints: Sequence[Hint], room: int, gap: int = 2) -> tuple[PlacedHint, ...]:
    """The hints that fit, in their order, the last one at the right end."""
    kept = list(hints)
    while kept and sum(_width(hint) + gap for hint in kept) > room:
        kept.remove(max(kept, key=lambda hint: hint.rank))
    placed: list[PlacedHint] = []
    at = 0
    for hint in kept[:-1]:
        placed.append(PlacedHint(at, hint))
        at += _width(hint) + gap
    return (*placed, *(PlacedHint(room - _width(hint), hint) for hint in kept[-1:]))


def hint_at(placed: Sequence[PlacedHint], column: int) -> Hint | None:
    """The hint that stands at a column."""
    return next((hint for at, hint in placed if at <= column < at + _width(hint)), None)


def _width(hint: Hint) -> int:
    return len(hint.key) + 1 + len(hint.does)
