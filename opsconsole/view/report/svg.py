"""Bar charts as SVG: zero is the base line, the largest amount is printed, every bar says its figure.

Nothing but elements and classes: colours and fonts are the page's. `title` and `desc` say to who cannot see a chart
what is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

WIDE: Final = 1160
HEIGHT: Final = 220
NARROW: Final = 560
_TOP: Final = 28
_FOOT: Final = 24
_BAR: Final = 26
_NAMES: Final = 180
_ROOM_FOR_FIGURES: Final = 120
_LONGEST_NAME: Final = 24
_MARK: Final = 4
_LABEL: Final = 72
"""How wide a date is."""
_LABEL_EVERY: Final = 90


@dataclass(frozen=True, slots=True)
class Bar:
    """`figure`: the value as it is written; what is known only in part is `partly`."""

    name: str
    value: int
    figure: str
    partly: bool = False


def columns(ident: str, title: str, bars: Sequence[Bar]) -> str:
    """Upright bars from left to right, for what goes with time; names below as far as they do not touch."""
    peak = max(bars, key=lambda bar: bar.value)
    room, step = HEIGHT - _TOP - _FOOT, WIDE / len(bars)
    gap = min(2.0, step / 5)
    drawn = [
        _rectangle(bar, at * step + gap / 2, HEIGHT - _FOOT - tall, step - gap, tall)
        for at, bar in enumerate(bars)
        for tall in (_long(bar, peak, room),)
    ]
    every = max(1, round(_LABEL_EVERY / step))
    names = [
        f'<text class="name" x="{(at + 0.5) * step:.1f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(bars[at].name)}</text>"
        for at in range(every // 2, len(bars), every)
        if _LABEL / 2 <= (at + 0.5) * step <= WIDE - _LABEL / 2
    ]
    base = f'<line class="base" x1="0" y1="{HEIGHT - _FOOT}" x2="{WIDE}" y2="{HEIGHT - _FOOT}"/>'
    top = f'<text class="peak" x="0" y="16">max {escape(peak.figure)} · {escape(peak.name)}</text>'
    return _svg(ident, title, _told(bars, peak), (WIDE, HEIGHT), [top, *drawn, base, *names])


def rows(ident: str, title: str, bars: Sequence[Bar]) -> str:
    """Lying bars, one below the other with name and figure."""
    peak = max(bars, key=lambda bar: bar.value)
    room = NARROW - _NAMES - _ROOM_FOR_FIGURES
    drawn: list[str] = []
    for at, bar in enumerate(bars):
        y, long = at * _BAR + _TOP, _long(bar, peak, room)
        name = bar.name if len(bar.name) <= _LONGEST_NAME else bar.name[: _LONGEST_NAME - 1] + "…"
        drawn += [
            f'<text class="name" x="{_NAMES - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
            _rectangle(bar, _NAMES, y, long, _BAR - 6),
            f'<text class="figure" x="{_NAMES + long + 6:.1f}" y="{y + 15}">{escape(bar.figure)}</text>',
        ]
    height = len(bars) * _BAR + _TOP
    base = f'<line class="base" x1="{_NAMES}" y1="{_TOP - 4}" x2="{_NAMES}" y2="{height}"/>'
    top = f'<text class="peak" x="0" y="16">max {escape(peak.figure)} · {escape(peak.name)}</text>'
    return _svg(ident, title, _told(bars, peak), (NARROW, height), [top, *drawn, base])


def figure(title: str, drawn: str, *, wide: bool = False) -> str:
    """A chart below its title."""
    return f"<section{' class=wide' if wide else ''}>\n<h2>{escape(title)}</h2>\n{drawn}\n</section>"


def beside(figures: Sequence[str]) -> str:
    """Figures as far beside one another as there is room; nothing of none."""
    return f'<div class="charts">\n{chr(10).join(figures)}\n</div>' if figures else ""


def _svg(ident: str, title: str, told: str, size: tuple[int, int], inner: Sequence[str]) -> str:
    return (
        f'<svg id="{ident}" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-labelledby="{ident}-t {ident}-d">\n'
        f'<title id="{ident}-t">{escape(title)}</title>\n<desc id="{ident}-d">{escape(told)}</desc>\n'
        + "\n".join(inner)
        + "\n</svg>"
    )


def _rectangle(bar: Bar, x: float, y: float, width: float, height: float) -> str:
    kind = "bar partly" if bar.partly else "bar"
    tip = f"<title>{escape(bar.name)}: {escape(bar.figure)}</title>"
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">{tip}</rect>'


def _long(bar: Bar, peak: Bar, room: int) -> float:
    """The largest takes all the room. What is not known leaves a mark: only nothing looks like nothing."""
    share = max(0, bar.value) / peak.value if peak.value > 0 else 0.0
    return max(share * room, _MARK if bar.partly else 0)


def _told(bars: Sequence[Bar], peak: Bar) -> str:
    """The chart in words: where it is highest, and how it begins and ends."""
    parts = [f"{len(bars)} bars from zero; the largest is {peak.name} with {peak.figure}"]
    if len(bars) > 1:
        parts.append(
            f"the first is {bars[0].name} with {bars[0].figure}, the last {bars[-1].name} with {bars[-1].figure}"
        )
    if all(before.value >= after.value for before, after in pairwise(bars)) and len(bars) > 1:
        parts.append("the largest comes first")
    return "; ".join(parts)
