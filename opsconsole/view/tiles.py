"""The figures on top of the Live view: a name, a value, a remark and a graph each."""

from __future__ import annotations

from dataclasses import dataclass

from opsconsole.view import charts, numbers
from opsconsole.view.columns import ALARM_SHARE, WARNING_SHARE
from opsconsole.view.snapshot import Bucket, Rates, Snapshot
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure. `peak`: the maximum of its graph, written."""

    id: str
    name: str
    brief: str
    """The name where there is little room."""
    value: Line
    short_value: Line
    remark: Line
    values: charts.Values
    peak: str
    tone: Tone


def tiles(snapshot: Snapshot, glyphs: Glyphs = UNICODE) -> tuple[Tile, ...]:
    """The five figures, in reading order."""
    rates = snapshot.now or last_rates(snapshot.buckets)
    return (
        _requests(snapshot, rates, glyphs),
        _tokens(snapshot, rates, glyphs),
        _cost(snapshot, glyphs),
        _first(snapshot, glyphs),
        _errors(snapshot, glyphs),
    )


def last_rates(buckets: tuple[Bucket, ...]) -> Rates | None:
    """What the newest two steps say, for the first moment after the start."""
    recent = buckets[-2:]
    seconds = sum(bucket.seconds for bucket in recent)
    if seconds <= 0:
        return None
    return Rates(
        requests=sum(bucket.requests for bucket in recent) / seconds,
        input_tokens=sum(bucket.input_tokens for bucket in recent) / seconds,
        output_tokens=sum(bucket.output_tokens for bucket in recent) / seconds,
    )


def _peak(values: charts.Values, glyphs: Glyphs) -> str:
    peak = charts.top(values)
    return "" if peak is None else f"max {numbers.short(peak, glyphs)}"


def per_second(bucket: Bucket, amount: float) -> float | None:
    """None for a step that has only begun: its rate would be noise."""
    return amount / bucket.seconds if bucket.seconds >= 1 else None


def _requests(snapshot: Snapshot, rates: Rates | None, glyphs: Glyphs) -> Tile:
    values = [per_second(bucket, bucket.requests) for bucket in snapshot.buckets]
    value = line(Span(numbers.short(rates.requests if rates else None, glyphs), Tone.STRONG))
    remark = line(
        Span(f"{numbers.count(snapshot.totals.requests, glyphs)} in {snapshot.question.window.label}", Tone.FAINT)
    )
    return Tile("requests", "requests /s", "req /s", value, value, remark, values, _peak(values, glyphs), Tone.STRONG)


def _tokens(snapshot: Snapshot, rates: Rates | None, glyphs: Glyphs) -> Tile:
    values = [per_second(bucket, bucket.input_tokens + bucket.output_tokens) for bucket in snapshot.buckets]
    incoming = numbers.short(rates.input_tokens if rates else None, glyphs)
    outgoing = numbers.short(rates.output_tokens if rates else None, glyphs)
    value = line(
        Span(incoming, Tone.TOKENS), Span(" in ", Tone.FAINT), Span(outgoing, Tone.TOKENS), Span(" out", Tone.FAINT)
    )
    both = numbers.short(rates.input_tokens + rates.output_tokens if rates else None, glyphs)
    totals = snapshot.totals
    remark = line(
        Span(
            f"{numbers.short(totals.input_tokens, glyphs)} in, {numbers.short(totals.output_tokens, glyphs)} out",
            Tone.FAINT,
        )
    )
    return Tile(
        "tokens",
        "tokens /s",
        "tok /s",
        value,
        line(Span(both, Tone.TOKENS)),
        remark,
        values,
        _peak(values, glyphs),
        Tone.TOKENS,
    )


def _cost(snapshot: Snapshot, glyphs: Glyphs) -> Tile:
    spending = snapshot.spending
    values = [
        None if rate is None else rate * 3600 / 1e12
        for rate in (per_second(bucket, bucket.cost_pico) for bucket in snapshot.buckets)
    ]
    today = Span(numbers.money(spending.today_pico, unpriced=spending.today_unpriced, glyphs=glyphs), Tone.MONEY)
    hourly = numbers.money(spending.hourly_pico, glyphs=glyphs)
    daily = numbers.money(None if spending.hourly_pico is None else spending.hourly_pico * 24, glyphs=glyphs)
    remark = line(Span(f"{hourly} /h {glyphs.arrow} {daily} /day", Tone.FAINT))
    peak = charts.top(values)
    shown_peak = "" if peak is None else f"max $ {numbers.short(peak, glyphs)} /h"
    value = line(today, Span(" today", Tone.FAINT))
    return Tile("cost", "cost", "$ today", value, line(today), remark, values, shown_peak, Tone.MONEY)


def _first(snapshot: Snapshot, glyphs: Glyphs) -> Tile:
    values = [bucket.first_p95_ms for bucket in snapshot.buckets]
    totals = snapshot.totals
    half = Span(numbers.latency(totals.first_p50_ms, glyphs), Tone.STRONG)
    value = line(half, Span(f"  p95 {numbers.latency(totals.first_p95_ms, glyphs)}", Tone.FAINT))
    peak = charts.top(values)
    remark = line(Span(f"open streams {numbers.count(snapshot.open_streams, glyphs)}", Tone.FAINT))
    shown_peak = "" if peak is None else f"max p95 {numbers.latency(peak, glyphs)}"
    return Tile("first", "first content", "first", value, line(half), remark, values, shown_peak, Tone.PLAIN)


def _errors(snapshot: Snapshot, glyphs: Glyphs) -> Tile:
    values = [bucket.errors / bucket.requests * 100 if bucket.requests else None for bucket in snapshot.buckets]
    totals = snapshot.totals
    share = totals.error_share
    symbol, tone = _trouble(share, glyphs)
    text = Span(symbol + numbers.percent(share, glyphs), tone)
    counted = f"{numbers.count(totals.errors, glyphs)} of {numbers.count(totals.requests, glyphs)}"
    remark = line(Span(counted, Tone.FAINT))
    peak = charts.top(values)
    shown_peak = "" if peak is None else f"max {numbers.short(peak, glyphs)} %"
    return Tile("errors", "errors", "errors", line(text), line(text), remark, values, shown_peak, Tone.PLAIN)


def _trouble(share: float | None, glyphs: Glyphs) -> tuple[str, Tone]:
    if share is not None and share >= ALARM_SHARE:
        return f"{glyphs.alarm} ", Tone.ALARM
    if share is not None and share >= WARNING_SHARE:
        return f"{glyphs.warning} ", Tone.WARNING
    return "", Tone.STRONG
