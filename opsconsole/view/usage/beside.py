"""What the pane beside the Usage table says of the cursor's row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from keyvault.domain.pivot import Pivot
from keyvault.money import PICO_PER_USD
from opsconsole.view import charts, numbers, text
from opsconsole.view.keys import words
from opsconsole.view.report.groups import basis_shares, margin_pico
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, printable
from opsconsole.view.usage.rows import charged
from opsconsole.view.usage.snapshot import CapSince, UsageSnapshot
from opsconsole.view.usage.tiles import each, passed

LABEL: Final = 10
GRAPH: Final = 5


def beside(snapshot: UsageSnapshot, name: str, width: int, height: int, glyphs: Glyphs = UNICODE) -> Sequence[Line]:
    """As many lines as fit."""
    pivot = snapshot.pivot
    row = next((row for row in pivot.rows if row.name == name), None) if pivot else None
    if pivot is None or row is None:
        return ()
    totals = row.totals
    margin = margin_pico(totals)
    share = totals.known_cost_pico / pivot.total.known_cost_pico if pivot.total.known_cost_pico else None
    cost = numbers.money(totals.known_cost_pico, unpriced=totals.unknown_cost_attempts, glyphs=glyphs)
    lines: list[Line] = [
        (Span(text.cut(printable(name), width, glyphs.ellipsis), Tone.STRONG),),
        (),
        _fact("cost", cost, Tone.MONEY, f"{numbers.percent(share, glyphs)} of all"),
        _fact(
            "charge", numbers.money(charged(totals), unpriced=totals.unknown_cost_attempts, glyphs=glyphs), Tone.MONEY
        ),
        _fact("margin", glyphs.unknown if margin is None else f"$ {numbers.dollars(margin, 2, glyphs)}", Tone.PLAIN),
        *(
            [_fact("in doubt", numbers.money(totals.doubt_pico, glyphs=glyphs), Tone.WARNING)]
            if totals.doubt_pico
            else []
        ),
        *(
            [_fact("unpriced", f"{totals.unknown_cost_attempts:,} attempts", Tone.WARNING)]
            if totals.unknown_cost_attempts
            else []
        ),
        (),
        _fact("requests", f"{totals.requests:,}", Tone.PLAIN, f"{totals.attempts:,} attempts"),
        _fact("errors", f"{totals.errors:,}", Tone.PLAIN),
        _fact("in", f"{totals.input_tokens:,}", Tone.TOKENS, f"{totals.cached_input_tokens:,} cached"),
        _fact("out", f"{totals.output_tokens:,}", Tone.TOKENS, f"{totals.reasoning_tokens:,} reasoning"),
        (),
        *_bases(basis_shares(totals), glyphs),
    ]
    if pivot.asked.by != "day":
        lines += [(), *_graph(pivot, row.costs, snapshot.taken_at, width, glyphs)]
    lines += _budgets(snapshot.caps, pivot, name, width, glyphs)
    return lines[:height]


def _fact(label: str, told: str, tone: Tone, more: str = "") -> Line:
    return (Span(label.ljust(LABEL), Tone.FAINT), Span(told, tone), Span(f"  {more}" if more else "", Tone.FAINT))


def _bases(shares: dict[str, float], glyphs: Glyphs) -> list[Line]:
    """How the counts are known; all of them only where it is all."""
    if not shares:
        return [_fact("counted", glyphs.unknown, Tone.FAINT)]
    lines: list[Line] = []
    for name, share in sorted(shares.items(), key=lambda pair: -pair[1]):
        percent = numbers.percent(share if share == 1 else min(share, 0.99), glyphs)
        label = Span(("" if lines else "counted").ljust(LABEL), Tone.FAINT)
        by = Span(f"by {name}" if name != "unknown" else "not known", Tone.FAINT)
        lines.append((label, Span(f"{words.bar(share, 8, glyphs)} {percent:>6} "), by))
    return lines


def _graph(pivot: Pivot, costs: Sequence[int], now: datetime, width: int, glyphs: Glyphs) -> list[Line]:
    series = passed(pivot, now, [cost / PICO_PER_USD for cost in costs])
    chart = charts.chart(series, width, GRAPH, glyphs)
    peak = f"max $ {numbers.short(chart.maximum, glyphs)}"
    name = f"cost by the {each(pivot)}"
    return [
        (Span(name, Tone.FAINT), Span(peak.rjust(max(1, width - len(name))), Tone.FAINT)),
        *((Span(drawn, Tone.MONEY),) for drawn in chart.lines),
    ]


def _budgets(caps: Sequence[CapSince], pivot: Pivot, name: str, width: int, glyphs: Glyphs) -> list[Line]:
    """Those of the row itself."""
    own = [
        found.cap
        for found in caps
        if (found.cap.budget.scope.kind.value, found.cap.budget.scope.name) == (pivot.asked.by, name)
    ]
    lines: list[Line] = []
    for cap in own:
        gone = f"$ {numbers.dollars(cap.spent_pico)} of {words.budget_words(cap.budget)}"
        sign = words.cap_sign(cap, glyphs)
        bar = Span(f"{words.bar(cap.share, 10, glyphs)} {f'{sign} ' if sign else ''}", words.cap_tone(cap))
        lines.append(text.cut_line((Span("budget".ljust(LABEL), Tone.FAINT), bar, Span(gone)), width, glyphs.ellipsis))
    return [(), *lines] if lines else []
