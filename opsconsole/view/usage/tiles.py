"""The figures on top of the Usage view, each with its graph over the stretch of time."""

from __future__ import annotations

from datetime import datetime

from keyvault.domain.pivot import Pivot, projected
from keyvault.money import PICO_PER_USD
from opsconsole.view import charts, numbers
from opsconsole.view.board import Tile
from opsconsole.view.live import reading
from opsconsole.view.live.columns import trouble
from opsconsole.view.report.groups import margin_pico
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, line


def tiles(pivot: Pivot, now: datetime, glyphs: Glyphs = UNICODE) -> tuple[Tile, ...]:
    """The five figures, in reading order."""
    return (
        _cost(pivot, now, glyphs),
        _charge(pivot, glyphs),
        _requests(pivot, glyphs),
        _tokens(pivot, glyphs),
        _errors(pivot, glyphs),
    )


def each(pivot: Pivot) -> str:
    """What one step is: `hour` or `day`."""
    return "day" if pivot.step.days else "hour"


def passed(pivot: Pivot, now: datetime, values: list[float | None]) -> list[float | None]:
    """A value for each step that has begun; None for those to come."""
    begun = int((now - pivot.since) / pivot.step) + 1
    return [value if at < begun else None for at, value in enumerate(values)]


def _cost(pivot: Pivot, now: datetime, glyphs: Glyphs) -> Tile:
    total = pivot.total
    series = passed(pivot, now, [step.known_cost_pico / PICO_PER_USD for step in pivot.steps])
    money = numbers.money(total.known_cost_pico, unpriced=total.unknown_cost_attempts, glyphs=glyphs)
    coming = projected(total.known_cost_pico, pivot.since, pivot.ends, now)
    if coming is not None:
        remark = f"{glyphs.arrow} {numbers.rough_money(coming, glyphs)} at the month's end"
    else:
        begun = sum(value is not None for value in series)
        remark = f"{numbers.rough_money(total.known_cost_pico // max(1, begun), glyphs)} /{each(pivot)}"
    return Tile(
        id="cost",
        share=6,
        names=("cost",),
        values=(line(Span(money, Tone.MONEY)),),
        remarks=(remark,),
        series=series,
        peak=_peak(series, glyphs, "max $"),
        tone=Tone.MONEY,
    )


def _charge(pivot: Pivot, glyphs: Glyphs) -> Tile:
    series: list[float | None] = [step.charge_pico / PICO_PER_USD for step in pivot.steps]
    margin = margin_pico(pivot.total)
    told = "margin unknown" if margin is None else f"margin $ {numbers.dollars(margin)}"
    return Tile(
        id="charge",
        share=5,
        names=("charge",),
        values=(line(Span(numbers.money(pivot.total.charge_pico, glyphs=glyphs), Tone.MONEY)),),
        remarks=(told,),
        series=series,
        peak=_peak(series, glyphs, "max $"),
        tone=Tone.MONEY,
    )


def _requests(pivot: Pivot, glyphs: Glyphs) -> Tile:
    series: list[float | None] = [step.requests for step in pivot.steps]
    many = len(pivot.rows)
    of = f"{many:,} {pivot.asked.by}{'' if many == 1 else 's'}"
    return Tile(
        id="requests",
        share=4,
        names=("requests",),
        values=(line(Span(numbers.count(pivot.total.requests, glyphs), Tone.STRONG)),),
        remarks=(of,),
        series=series,
        peak=_peak(series, glyphs),
        tone=Tone.FAINT,
    )


def _tokens(pivot: Pivot, glyphs: Glyphs) -> Tile:
    total = pivot.total
    series: list[float | None] = [step.input_tokens + step.output_tokens for step in pivot.steps]
    into, out = (Span(numbers.short(count, glyphs), Tone.TOKENS) for count in (total.input_tokens, total.output_tokens))
    share = total.cached_input_tokens / total.input_tokens if total.input_tokens else None
    return Tile(
        id="tokens",
        share=5,
        names=("tokens",),
        values=(line(into, Span(" in   ", Tone.FAINT), out, Span(" out", Tone.FAINT)), line(into)),
        remarks=(f"{numbers.percent(share, glyphs)} cached",),
        series=series,
        peak=_peak(series, glyphs),
        tone=Tone.TOKENS,
    )


def _errors(pivot: Pivot, glyphs: Glyphs) -> Tile:
    series = [step.errors / step.requests * 100 if step.requests else None for step in pivot.steps]
    sums = reading.sums(pivot.total)
    tone = trouble(sums)
    symbol = {Tone.ALARM: f"{glyphs.alarm} ", Tone.WARNING: f"{glyphs.warning} "}.get(tone, "")
    value = Span(symbol + numbers.percent(sums.error_share, glyphs), tone if symbol else Tone.STRONG)
    return Tile(
        id="errors",
        share=4,
        names=("errors",),
        values=(line(value),),
        remarks=(f"{sums.errors:,} of {sums.requests:,}", f"{sums.errors:,}"),
        series=series,
        peak=_peak(series, glyphs, "max", " %"),
        tone=Tone.FAINT,
    )


def _peak(series: charts.Values, glyphs: Glyphs, before: str = "max", after: str = "") -> str:
    peak = charts.top(series)
    return "" if peak is None else f"{before} {numbers.short(peak, glyphs)}{after}"
