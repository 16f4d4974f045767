"""From a snapshot to the rows of the Requests table: when, who, what, how it ended, what it cost, how long it took."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Final

from keyvault.domain.reports import TEST, RequestLine
from opsconsole.view import numbers
from opsconsole.view.filters import Filter
from opsconsole.view.requests.snapshot import RequestsSnapshot
from opsconsole.view.table import MOST_ROWS, Column, Heading, Sort, SortValue, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone

BY_END: Final = Sort("ended")
DECIMALS: Final = 6
"""Of the dollars of one request."""


def table(
    snapshot: RequestsSnapshot,
    sort: Sort = BY_END,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
    zone: tzinfo | None = None,
    most: int = MOST_ROWS,
) -> Table:
    """The written table of a snapshot; `zone`: whose time of day is told, None: the system's."""
    return write(
        snapshot.lines,
        columns(snapshot.taken_at, zone, glyphs),
        sort,
        key=lambda line: (line.request_id,),
        names=names,
        wanted=wanted,
        kind=snapshot.question,
        usual=BY_END,
        more=snapshot.older is not None,
        most=most,
    )


def names(line: RequestLine) -> tuple[str, ...]:
    """What the filter looks at."""
    return (
        key_name(line),
        f"{line.customer}/{line.project}",
        line.alias,
        line.target,
        line.outcome,
        line.error or "",
        "" if line.status is None else str(line.status),
        line.basis,
        line.request_id,
        *(f"{name}={value}" for name, value in line.tags.items()),
    )


def key_name(line: RequestLine) -> str:
    return f"{line.key} (test)" if line.env == TEST else line.key


def has_failed(line: RequestLine) -> bool:
    return line.outcome in ("failed", "lost")


def state(status: int | None, outcome: str, glyphs: Glyphs) -> Span:
    """`200`, `✖ 429`, `✖ lost`, `aborted`: the provider's status, and a word where that does not say how it ended."""
    told = glyphs.unknown if status is None else str(status)
    if outcome in ("failed", "lost"):
        return Span(f"{glyphs.alarm} {outcome if status is None or status < 400 else told}", Tone.ALARM)
    if outcome == "aborted":
        return Span("aborted", Tone.WARNING)
    return Span("open" if outcome == "open" else told, Tone.STRONG if outcome == "open" else Tone.FAINT)


def columns(now: datetime, zone: tzinfo | None, glyphs: Glyphs) -> tuple[Column[RequestLine], ...]:
    """The columns, in the order in which they stand."""
    today = now.astimezone(zone).date()

    def ended(line: RequestLine) -> Span:
        local = line.ended_at.astimezone(zone)
        return Span(local.strftime("%H:%M:%S" if local.date() == today else "%d %b %H:%M:%S"), Tone.FAINT)

    def number(
        id_: str,
        heading: str,
        rank: int,
        value: Callable[[RequestLine], SortValue],
        cell: Callable[[RequestLine], Span],
    ) -> Column[RequestLine]:
        return Column(Heading(id_, heading, rank), value, cell)

    def seconds(ms: int | None, tone: Tone) -> Span:
        return Span(numbers.fixed(None if ms is None else ms / 1000, 2, glyphs), Tone.FAINT if ms is None else tone)

    def tokens(count: int | None) -> Span:
        return Span(numbers.count(count, glyphs), Tone.TOKENS if count else Tone.FAINT)

    def cost(line: RequestLine) -> Span:
        unknown = line.cost_pico is None
        return Span(numbers.dollars(line.cost_pico, DECIMALS, glyphs), Tone.FAINT if unknown else Tone.MONEY)

    when = Heading("ended", "ENDED", 0, right=False, is_name=True)
    return (
        Column(when, lambda line: line.ended_at.timestamp(), ended),
        name_column("key", "KEY", key_name),
        name_column("model", "MODEL", lambda line: line.model),
        number("status", "STATUS", 0, lambda line: line.status, lambda line: state(line.status, line.outcome, glyphs)),
        Column(
            Heading("error", "ERROR", 3, right=False),
            lambda line: line.error,
            lambda line: Span(line.error or "", Tone.WARNING),
        ),
        number("input", "IN", 4, lambda line: line.input_tokens, lambda line: tokens(line.input_tokens)),
        number(
            "cached", "CACHED %", 8, cached_share, lambda line: Span(percent(cached_share(line), glyphs), Tone.FAINT)
        ),
        number("output", "OUT", 4, lambda line: line.output_tokens, lambda line: tokens(line.output_tokens)),
        number("cost", "COST $", 1, lambda line: line.cost_pico, cost),
        Column(
            Heading("basis", "BASIS", 7, right=False),
            lambda line: line.basis,
            lambda line: Span(line.basis, Tone.FAINT),
        ),
        number(
            "first",
            "FIRST s",
            6,
            lambda line: line.first_content_ms,
            lambda line: seconds(line.first_content_ms, Tone.FAINT),
        ),
        number("total", "TOTAL s", 2, lambda line: line.total_ms, lambda line: seconds(line.total_ms, Tone.PLAIN)),
        Column(
            Heading("stream", "STREAM", 10, right=False),
            lambda line: int(line.stream),
            lambda line: Span("stream" if line.stream else "", Tone.FAINT),
        ),
        number("attempts", "TRIES", 5, lambda line: line.attempts, _tries),
        Column(
            Heading("target", "TARGET", 9, right=False, descending=False),
            lambda line: line.target.casefold(),
            lambda line: Span(line.target, Tone.FAINT),
        ),
    )


def _tries(line: RequestLine) -> Span:
    return Span(str(line.attempts), Tone.WARNING if line.attempts > 1 else Tone.FAINT)


def cached_share(line: RequestLine) -> float | None:
    if not line.input_tokens or line.cached_input_tokens is None:
        return None
    return line.cached_input_tokens / line.input_tokens


def percent(share: float | None, glyphs: Glyphs) -> str:
    """Without the sign, which stands in the heading."""
    return glyphs.unknown if share is None else f"{share * 100:.0f}"
