"""The Usage view drawn large: cost over time, cost by model and by customer, and how far the budgets are gone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Final

from keyvault.domain.pivot import Pivot, Share, projected
from keyvault.money import PICO_PER_USD
from opsconsole.view import bars, charts, numbers, text
from opsconsole.view.bars import Bar, Series
from opsconsole.view.board import padded
from opsconsole.view.keys import words
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable
from opsconsole.view.usage.snapshot import CapSince, UsageSnapshot
from opsconsole.view.usage.tiles import each, passed

GAP: Final = 4
MOST_BARS: Final = 8
SOONEST: Final = 0.05
"""How much of a period has to have passed before its end is foretold."""


def pictures(
    snapshot: UsageSnapshot,
    width: int,
    height: int,
    *,
    stack: bool = False,
    zone: tzinfo | None = None,
    glyphs: Glyphs = UNICODE,
) -> Sequence[Line]:
    """All of them, as far as there is room: the cost over time takes what the others leave."""
    pivot, now = snapshot.pivot, snapshot.taken_at
    if pivot is None or height < 4:
        return ()
    most = max(0, (height - 8) // 2)
    budgets = budget_lines(snapshot.caps, now, width, max(0, most - 2), glyphs) if height >= 16 else []
    shares = _shares(pivot, width, max(0, min(MOST_BARS, most - 2)), glyphs) if height >= 12 else []
    below = [*([(), *shares] if shares else []), *([(), _heading("budgets", width), *budgets] if budgets else [])]
    room = height - len(below)
    over_time = _stacked(pivot, width, room, glyphs) if stack else _single(pivot, now, width, room, glyphs)
    return [*over_time, _axis(pivot, width, zone), *below][:height]


def _heading(name: str, width: int, right: str = "") -> Line:
    return (Span(name, Tone.FAINT), Span(right.rjust(max(1, width - len(name))), Tone.FAINT))


def _single(pivot: Pivot, now: datetime, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    series = passed(pivot, now, [step.known_cost_pico / PICO_PER_USD for step in pivot.steps])
    chart = charts.chart(series, width, max(1, height - 2), glyphs)
    peak = f"max $ {numbers.short(chart.maximum, glyphs)} /{each(pivot)}"
    return [_heading(f"cost by the {each(pivot)}", width, peak), *((Span(drawn, Tone.MONEY),) for drawn in chart.lines)]


def _stacked(pivot: Pivot, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    series = series_of(pivot)
    most = max((step.known_cost_pico for step in pivot.steps), default=0)
    peak = f"max $ {numbers.short(most / PICO_PER_USD, glyphs)} /{each(pivot)}"
    return [
        _heading(f"cost by the {each(pivot)} and {pivot.asked.by}", width, peak),
        bars.legend(series, width, glyphs),
        *bars.stacked(series, width, max(1, height - 3), glyphs),
    ]


def series_of(pivot: Pivot) -> list[Series]:
    """The dearest groups, and what all the others took."""
    dearest = sorted(pivot.rows, key=lambda row: -row.totals.known_cost_pico)
    found = [
        Series(printable(row.name), [cost / PICO_PER_USD for cost in row.costs]) for row in dearest[: bars.MOST_SERIES]
    ]
    if others := dearest[bars.MOST_SERIES :]:
        together = [sum(costs) / PICO_PER_USD for costs in zip(*(row.costs for row in others), strict=True)]
        found.append(Series(f"{len(others):,} other{'s' if len(others) > 1 else ''}", together))
    return found


def _axis(pivot: Pivot, width: int, zone: tzinfo | None) -> Line:
    form = "%d %b" if pivot.step.days else "%d %b %H:%M"
    first, last = (moment.astimezone(zone).strftime(form) for moment in (pivot.since, pivot.until - pivot.step))
    return _heading(first, width, last)


def _shares(pivot: Pivot, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Cost by model on the left, by customer on the right."""
    half = (width - GAP) // 2
    total = pivot.total.known_cost_pico
    left = [_heading("cost by model", half), *_bars(pivot.models, total, half, height, glyphs)]
    right = [_heading("cost by customer", half), *_bars(pivot.customers, total, half, height, glyphs)]
    tall = max(len(left), len(right))
    blank: Line = ()
    both = zip(left + [blank] * (tall - len(left)), right + [blank] * (tall - len(right)), strict=True)
    return [(*padded(one, half + GAP), *other) for one, other in both]


def _bars(shares: Sequence[Share], total: int, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    def told(share: Share) -> str:
        if share.cost_pico is None:
            return glyphs.unknown
        percent = share.cost_pico / total * 100 if total else 0
        return f"$ {numbers.dollars(share.cost_pico, glyphs=glyphs)} {percent:3.0f} %"

    found = [Bar(printable(share.name), share.cost_pico or 0, told(share)) for share in shares]
    return bars.bars(found, width, height, Tone.MONEY, glyphs)


def budget_lines(
    caps: Sequence[CapSince], now: datetime, width: int, height: int, glyphs: Glyphs = UNICODE
) -> list[Line]:
    """How far each budget is gone and what it will be at the end of its period, the worst first."""
    ranked = sorted(caps, key=lambda cap: -max(cap.cap.share, _end_share(cap, now) or 0.0))
    shown = ranked if len(ranked) <= height else ranked[: max(0, height - 1)]
    names = max((len(_name(cap)) for cap in shown), default=0)
    lines = [text.cut_line(_budget(cap, names, now, glyphs), width, glyphs.ellipsis) for cap in shown]
    if len(ranked) > len(shown) and height > 0:
        lines.append((Span(f"+{len(ranked) - len(shown):,} more", Tone.FAINT),))
    return lines


def _budget(found: CapSince, names: int, now: datetime, glyphs: Glyphs) -> Line:
    cap = found.cap
    tone = words.cap_tone(cap)
    sign = words.cap_sign(cap, glyphs)
    gone = f"$ {numbers.dollars(cap.spent_pico)} of {words.budget_words(cap.budget)}"
    spans = [
        Span(_name(found).ljust(names + 2)),
        Span(f"{words.bar(cap.share, 20, glyphs)}  ", tone),
        Span(f"{sign} " if sign else "", tone),
        Span(gone),
    ]
    share = _end_share(found, now)
    if share is not None:
        over = f"{glyphs.warning} " if share > 1 else ""
        coming = numbers.dollars(round(share * cap.budget.amount_pico))
        spans.append(Span(f"   {glyphs.arrow} {over}$ {coming} at its end", Tone.WARNING if over else Tone.FAINT))
    return line(*spans)


def _end_share(found: CapSince, now: datetime) -> float | None:
    """What will be gone at the end of the period, at this rate; None where it is too early to tell, or has no end."""
    until = found.cap.until
    if until is None or (now - found.since) / (until - found.since) < SOONEST:
        return None
    coming = projected(found.cap.spent_pico, found.since, until, now)
    return None if coming is None else coming / found.cap.budget.amount_pico


def _name(found: CapSince) -> str:
    scope = found.cap.budget.scope
    return f"{scope.kind.value}:{printable(scope.name)}"
