"""The columns of the Live table: what each shows, sorts by, and how much it matters when there is little room.

A column has one unit, written once in its title; its numbers are right-aligned with the same number of decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keyvault.money import PICO_PER_USD
from opsconsole.view import charts, numbers
from opsconsole.view.live.snapshot import GroupBy, Row
from opsconsole.view.sums import Sums
from opsconsole.view.table import Column, Heading, SortValue, name_column
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone

TREND_WIDTH: Final = 15
WARNING_SHARE: Final = 0.02
ALARM_SHARE: Final = 0.2
ENOUGH_ERRORS: Final = 2


@dataclass(frozen=True, slots=True)
class Scale:
    """What the cells of one table have in common: units and decimals, fit to the largest value."""

    token_unit: float = 1e3
    token_prefix: str = "k"
    cost_decimals: int = 4
    cost_pico: int = 0
    """Known cost of all rows."""
    seconds: int = 900
    glyphs: Glyphs = UNICODE


def scale_of(rows: Sequence[Row], seconds: int, glyphs: Glyphs = UNICODE) -> Scale:
    most_tokens = max((max(row.sums.input_tokens, row.sums.output_tokens) for row in rows), default=0)
    unit, prefix = (1e6, "M") if most_tokens >= 10_000_000 else (1e3, "k")
    dearest = max((row.sums.cost_pico for row in rows), default=0) / PICO_PER_USD
    return Scale(
        token_unit=unit,
        token_prefix=prefix,
        cost_decimals=numbers.decimals_for(dearest),
        cost_pico=sum(row.sums.cost_pico for row in rows),
        seconds=seconds,
        glyphs=glyphs,
    )


CellOf = Callable[[Row, Scale], Span]


def _requests(row: Row, scale: Scale) -> Span:
    return Span(numbers.count(row.sums.requests, scale.glyphs))


def _rate(row: Row, scale: Scale) -> Span:
    return Span(numbers.fixed(row.sums.requests / scale.seconds, 2, scale.glyphs), Tone.FAINT)


def _tokens(value: int, row: Row, scale: Scale) -> Span:
    nothing_counted = row.sums.uncounted and row.sums.uncounted >= row.sums.attempts
    shown = None if nothing_counted else value / scale.token_unit
    return Span(numbers.fixed(shown, 1, scale.glyphs), Tone.TOKENS if value else Tone.FAINT)


def _cached(row: Row, scale: Scale) -> Span:
    return Span(_whole_percent(_cached_share(row), scale), Tone.FAINT)


def _cached_share(row: Row) -> float | None:
    return row.sums.cached_tokens / row.sums.input_tokens if row.sums.input_tokens else None


def _whole_percent(share: float | None, scale: Scale) -> str:
    return scale.glyphs.unknown if share is None else f"{share * 100:.0f}"


def _cost(row: Row, scale: Scale) -> Span:
    sums = row.sums
    if sums.unpriced and not sums.cost_pico:
        return Span(scale.glyphs.unknown, Tone.FAINT)
    lead = f"{scale.glyphs.at_least} " if sums.unpriced else ""
    return Span(lead + numbers.dollars(sums.cost_pico, scale.cost_decimals, scale.glyphs), Tone.MONEY)


def _cost_value(row: Row) -> float | None:
    return None if row.sums.unpriced and not row.sums.cost_pico else row.sums.cost_pico


def _share(row: Row, scale: Scale) -> Span:
    share = row.sums.cost_pico / scale.cost_pico if scale.cost_pico else None
    return Span(_whole_percent(share if _cost_value(row) is not None else None, scale), Tone.FAINT)


def _errors(row: Row, scale: Scale) -> Span:
    share = row.sums.error_share
    text = scale.glyphs.unknown if share is None else f"{share * 100:.1f}"
    tone = trouble(row.sums)
    symbol = {Tone.ALARM: f"{scale.glyphs.alarm} ", Tone.WARNING: f"{scale.glyphs.warning} "}.get(tone, "")
    return Span(symbol + text, tone)


def trouble(sums: Sums) -> Tone:
    """How bad the share of errors is. A single error is an accident, whatever the share."""
    share = sums.error_share
    if not share:
        return Tone.FAINT
    if sums.errors >= ENOUGH_ERRORS and share >= WARNING_SHARE:
        return Tone.ALARM if share >= ALARM_SHARE else Tone.WARNING
    return Tone.PLAIN


def _seconds(ms: float | None, scale: Scale, tone: Tone) -> Span:
    return Span(numbers.fixed(None if ms is None else ms / 1000, 2, scale.glyphs), Tone.FAINT if ms is None else tone)


def _trend(row: Row, scale: Scale) -> Span:
    return Span(charts.trend(row.trend, TREND_WIDTH, scale.glyphs), Tone.FAINT)


def _input(row: Row, scale: Scale) -> Span:
    return _tokens(row.sums.input_tokens, row, scale)


def _output(row: Row, scale: Scale) -> Span:
    return _tokens(row.sums.output_tokens, row, scale)


def _first(row: Row, scale: Scale) -> Span:
    return _seconds(row.sums.first_p50_ms, scale, Tone.FAINT)


def _p50(row: Row, scale: Scale) -> Span:
    return _seconds(row.sums.total_p50_ms, scale, Tone.FAINT)


def _p95(row: Row, scale: Scale) -> Span:
    return _seconds(row.sums.total_p95_ms, scale, Tone.PLAIN)


@dataclass(frozen=True, slots=True)
class _Number:
    """A column of figures before the scale is known. `{k}` in its heading stands for the prefix of tokens."""

    id: str
    heading: str
    rank: int
    value: Callable[[Row], SortValue]
    cell: CellOf
    right: bool = True
    sorts: bool = True

    def scaled(self, scale: Scale) -> Column[Row]:
        head = Heading(self.id, self.heading.format(k=scale.token_prefix), self.rank, self.right)
        return Column(head, self.value, lambda row: self.cell(row, scale), self.sorts)


_NUMBERS: Final = (
    _Number("requests", "REQ", 1, lambda row: row.sums.requests, _requests),
    _Number("rate", "REQ/s", 9, lambda row: row.sums.requests, _rate, sorts=False),
    _Number("input", "IN {k}", 3, lambda row: row.sums.input_tokens, _input),
    _Number("cached", "CACHED %", 6, _cached_share, _cached),
    _Number("output", "OUT {k}", 3, lambda row: row.sums.output_tokens, _output),
    _Number("cost", "COST $", 0, _cost_value, _cost),
    _Number("share", "SHARE %", 8, _cost_value, _share, sorts=False),
    _Number("errors", "ERR %", 2, lambda row: row.sums.error_share, _errors),
    _Number("first", "FIRST s", 7, lambda row: row.sums.first_p50_ms, _first),
    _Number("p50", "P50 s", 10, lambda row: row.sums.total_p50_ms, _p50),
    _Number("p95", "P95 s", 4, lambda row: row.sums.total_p95_ms, _p95),
    _Number("trend", "TREND req", 5, lambda row: row.sums.requests, _trend, right=False, sorts=False),
)


def figures(scale: Scale, *ids: str) -> tuple[Column[Row], ...]:
    """Some of the columns of figures, for other tables of rows."""
    of = {number.id: number for number in _NUMBERS}
    return tuple(of[id_].scaled(scale) for id_ in ids)


def columns(by: GroupBy, scale: Scale) -> tuple[Column[Row], ...]:
    """The columns of a grouping, in the order in which they stand."""
    group: Column[Row] = name_column("group", by.upper(), lambda row: row.group)
    model: Column[Row] = name_column("model", "MODEL", lambda row: row.model)
    names = (group, model) if by.splits_by_model else (group,)
    return (*names, *(number.scaled(scale) for number in _NUMBERS))
