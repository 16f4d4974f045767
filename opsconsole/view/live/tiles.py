"""The figures on top of the Live view: a name, a value, a remark and a graph each."""

from __future__ import annotations

from keyvault.money import PICO_PER_USD
from opsconsole.view import charts, numbers
from opsconsole.view.board import Tile
from opsconsole.view.live.columns import trouble
from opsconsole.view.live.snapshot import LiveSnapshot, Rates
from opsconsole.view.sums import Bucket
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, line


def tiles(snapshot: LiveSnapshot, glyphs: Glyphs = UNICODE) -> tuple[Tile, ...]:
    """The five figures, in reading order."""
    return (
        _requests(snapshot, snapshot.now, glyphs),
        _tokens(snapshot, snapshot.now, glyphs),
        _cost(snapshot, glyphs),
        _first(snapshot, glyphs),
        _errors(snapshot, glyphs),
    )


def per_second(bucket: Bucket, amount: float) -> float | None:
    """None for a step that has only begun: its rate would be noise."""
    return amount / bucket.seconds if bucket.seconds >= 1 else None


def _requests(snapshot: LiveSnapshot, rates: Rates | None, glyphs: Glyphs) -> Tile:
    series = [per_second(bucket, bucket.requests) for bucket in snapshot.buckets]
    total = numbers.count(snapshot.totals.requests, glyphs)
    return Tile(
        id="requests",
        share=4,
        names=("requests /s", "req /s"),
        values=(line(Span(numbers.short(rates.requests if rates else None, glyphs), Tone.STRONG)),),
        remarks=(f"{total} in {snapshot.question.window.label}", total),
        series=series,
        peak=_peak(series, glyphs),
        tone=Tone.FAINT,
    )


def _tokens(snapshot: LiveSnapshot, rates: Rates | None, glyphs: Glyphs) -> Tile:
    series = [per_second(bucket, bucket.input_tokens + bucket.output_tokens) for bucket in snapshot.buckets]
    incoming = Span(numbers.short(rates.input_tokens if rates else None, glyphs), Tone.TOKENS)
    outgoing = Span(numbers.short(rates.output_tokens if rates else None, glyphs), Tone.TOKENS)
    both = numbers.short(rates.input_tokens + rates.output_tokens if rates else None, glyphs)
    totals = snapshot.totals
    sums = (totals.input_tokens, totals.output_tokens, totals.input_tokens + totals.output_tokens)
    told_in, told_out, told_all = (numbers.short(tokens, glyphs) for tokens in sums)
    return Tile(
        id="tokens",
        share=5,
        names=("tokens /s", "tok /s"),
        values=(
            line(incoming, Span(" in   ", Tone.FAINT), outgoing, Span(" out", Tone.FAINT)),
            line(Span(both, Tone.TOKENS)),
        ),
        remarks=(f"{told_in} in, {told_out} out", told_all),
        series=series,
        peak=_peak(series, glyphs),
        tone=Tone.TOKENS,
    )


def _cost(snapshot: LiveSnapshot, glyphs: Glyphs) -> Tile:
    spending = snapshot.spending
    rates = [per_second(bucket, bucket.cost_pico) for bucket in snapshot.buckets]
    series = [None if rate is None else rate * 3600 / PICO_PER_USD for rate in rates]
    today = Span(numbers.money(spending.today_pico, unpriced=spending.today_unpriced, glyphs=glyphs), Tone.MONEY)
    hourly = f"{numbers.rough_money(spending.hourly_pico, glyphs)} /h"
    daily = numbers.rough_money(None if spending.hourly_pico is None else spending.hourly_pico * 24, glyphs)
    return Tile(
        id="cost",
        share=6,
        names=("cost", "cost"),
        values=(line(today, Span(" today", Tone.FAINT)), line(today)),
        remarks=(f"{hourly} {glyphs.arrow} {daily} /day", hourly),
        series=series,
        peak=_peak(series, glyphs, "max $", " /h"),
        tone=Tone.MONEY,
    )


def _first(snapshot: LiveSnapshot, glyphs: Glyphs) -> Tile:
    series = [bucket.first_p95_ms for bucket in snapshot.buckets]
    totals = snapshot.totals
    half = Span(numbers.latency(totals.first_p50_ms, glyphs), Tone.STRONG)
    most = numbers.latency(totals.first_p95_ms, glyphs)
    peak = charts.top(series)
    streams = numbers.count(snapshot.open_streams, glyphs)
    return Tile(
        id="first",
        share=5,
        names=("first content", "first"),
        values=(line(half, Span(f"   p95 {most}", Tone.FAINT)), line(half)),
        remarks=(f"open streams {streams}", f"streams {streams}", f"{streams} open"),
        series=series,
        peak="" if peak is None else f"max {numbers.latency(peak, glyphs)}",
        tone=Tone.FAINT,
    )


def _errors(snapshot: LiveSnapshot, glyphs: Glyphs) -> Tile:
    series = [bucket.errors / bucket.requests * 100 if bucket.requests else None for bucket in snapshot.buckets]
    totals = snapshot.totals
    tone = trouble(totals)
    symbol = {Tone.ALARM: f"{glyphs.alarm} ", Tone.WARNING: f"{glyphs.warning} "}.get(tone, "")
    errors, requests = numbers.count(totals.errors, glyphs), numbers.count(totals.requests, glyphs)
    return Tile(
        id="errors",
        share=4,
        names=("errors", "errors"),
        values=(line(Span(symbol + numbers.percent(totals.error_share, glyphs), tone if symbol else Tone.STRONG)),),
        remarks=(f"{errors} of {requests}", errors),
        series=series,
        peak=_peak(series, glyphs, "max", " %"),
        tone=Tone.FAINT,
    )


def _peak(series: charts.Values, glyphs: Glyphs, before: str = "max", after: str = "") -> str:
    peak = charts.top(series)
    return "" if peak is None else f"{before} {numbers.short(peak, glyphs)}{after}"
