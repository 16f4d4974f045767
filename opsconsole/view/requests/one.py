"""One request written out: a line that sums it up, its attempts as a tree, and what else is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

from keyvault.domain.reports import AttemptLine, RequestDetail, RequestLine
from opsconsole.view import numbers, text
from opsconsole.view.requests.rows import DECIMALS, cached_share, key_name, percent, state
from opsconsole.view.requests.snapshot import PriceTold, RequestSnapshot
from opsconsole.view.table import Column, Heading, Sort, Table, name_column, write
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone

IN_ORDER: Final = Sort("attempt", descending=False)
LABEL: Final = 18


def summary(line: RequestLine, zone: tzinfo | None, glyphs: Glyphs = UNICODE) -> Line:
    """`14:03:09  support-bot  claude-sonnet-5  200  stream  1,204 in (61 % cached)  318 out  $ 0.004120  provider`"""
    share = cached_share(line)
    cached = f" ({percent(share, glyphs)} % cached)" if share else ""
    parts = [
        Span(line.at.astimezone(zone).strftime("%H:%M:%S"), Tone.FAINT),
        Span(key_name(line), Tone.STRONG),
        Span(line.alias),
        state(line.status, line.outcome, glyphs),
        *([Span("stream", Tone.FAINT)] if line.stream else []),
        Span(f"{numbers.count(line.input_tokens, glyphs)} in{cached}", Tone.TOKENS),
        Span(f"{numbers.count(line.output_tokens, glyphs)} out", Tone.TOKENS),
        Span(dollars(line.cost_pico, glyphs), Tone.MONEY),
        Span(line.basis, Tone.FAINT),
        Span(_times(line, glyphs), Tone.FAINT),
    ]
    return tuple(span for at, part in enumerate(parts) for span in ((Span("  "), part) if at else (part,)))


def _times(line: RequestLine, glyphs: Glyphs) -> str:
    first, total = numbers.latency(line.first_content_ms, glyphs), numbers.latency(line.total_ms, glyphs)
    return f"{first} {glyphs.separator} {total}"


def dollars(pico: int | None, glyphs: Glyphs) -> str:
    return glyphs.unknown if pico is None else f"$ {numbers.dollars(pico, DECIMALS, glyphs)}"


def table(snapshot: RequestSnapshot, glyphs: Glyphs = UNICODE) -> Table:
    """Each attempt a row, as branches of the request."""
    attempts = snapshot.detail.attempts if snapshot.detail else ()
    prices = {price.number: price for price in snapshot.prices}
    return write(
        attempts,
        _columns(attempts, prices, glyphs),
        IN_ORDER,
        key=lambda attempt: (str(attempt.number),),
        names=lambda attempt: (attempt.target,),
        kind=snapshot.question,
    )


def _columns(
    attempts: Sequence[AttemptLine], prices: dict[int, PriceTold], glyphs: Glyphs
) -> tuple[Column[AttemptLine], ...]:
    last = attempts[-1].number if attempts else 0

    def branch(attempt: AttemptLine) -> Span:
        lines = (glyphs.branch, glyphs.last_branch)
        return Span(f"{lines[attempt.number == last]} {attempt.number}", Tone.FAINT)

    def seconds(id_: str, heading: str, rank: int, of: Callable[[AttemptLine], int | None]) -> Column[AttemptLine]:
        def cell(attempt: AttemptLine) -> Span:
            ms = of(attempt)
            return Span(numbers.fixed(None if ms is None else ms / 1000, 2, glyphs), Tone.FAINT)

        return Column(Heading(id_, heading, rank), of, cell)

    def price(attempt: AttemptLine) -> Span:
        found = prices.get(attempt.price_id or 0)
        return Span(f"price of {found.since:%Y-%m-%d}" if found else "", Tone.FAINT)

    number = Heading("attempt", "ATTEMPT", 0, right=False, is_name=True, descending=False)
    return (
        Column(number, lambda attempt: attempt.number, branch),
        name_column("target", "TARGET", lambda attempt: attempt.target),
        Column(
            Heading("status", "STATUS", 1),
            lambda attempt: attempt.status,
            lambda attempt: state(attempt.status, attempt.outcome, glyphs),
        ),
        Column(Heading("why", "WHAT CAME OF IT", 2, right=False), lambda attempt: attempt.outcome, _came_of_it),
        seconds("first", "FIRST s", 6, lambda attempt: attempt.first_content_ms),
        seconds("total", "TOTAL s", 3, lambda attempt: attempt.total_ms),
        Column(
            Heading("cost", "COST $", 1),
            lambda attempt: attempt.cost_pico,
            lambda attempt: Span(numbers.dollars(attempt.cost_pico, DECIMALS, glyphs), Tone.MONEY),
        ),
        Column(
            Heading("charge", "CHARGED $", 4),
            lambda attempt: attempt.charge_pico,
            lambda attempt: _charged(attempt, glyphs),
        ),
        Column(Heading("price", "PRICE", 5, right=False), lambda attempt: attempt.price_id, price),
    )


def _came_of_it(attempt: AttemptLine) -> Span:
    told = {
        "served": "served",
        "open": "under way",
        "aborted": "the client left",
        "lost": "lost: the worker ended before it did",
    }
    if attempt.outcome == "failed":
        return Span(attempt.error_code or attempt.error_text or "failed", Tone.WARNING)
    return Span(told[attempt.outcome], Tone.PLAIN if attempt.outcome == "served" else Tone.WARNING)


def _charged(attempt: AttemptLine, glyphs: Glyphs) -> Span:
    if attempt.charge_pico == 0:
        return Span("not charged", Tone.FAINT)
    return Span(numbers.dollars(attempt.charge_pico, DECIMALS, glyphs), Tone.MONEY)


Fact = tuple[str, Line]


def facts(
    snapshot: RequestSnapshot,
    number: int | None,
    zone: tzinfo | None,
    width: int,
    height: int,
    glyphs: Glyphs = UNICODE,
) -> Sequence[Line]:
    """What is known of the request and of one of its attempts: side by side where there is room, else in turn."""
    detail = snapshot.detail
    if detail is None:
        return ()
    attempt = next((each for each in detail.attempts if each.number == number), detail.attempts[-1])
    whole, single = _of_request(snapshot, detail, zone, glyphs), _of_attempt(snapshot, attempt, glyphs)
    if width < 100:
        return [*_told(whole, width, glyphs), (), *_told(single, width, glyphs)][:height]
    half = width // 2
    left, right = _told(whole, half - 2, glyphs), _told(single, width - half, glyphs)
    blank: Line = ()
    tall = max(len(left), len(right))
    pairs = zip(left + [blank] * (tall - len(left)), right + [blank] * (tall - len(right)), strict=True)
    return [(*first, Span(" " * (half - text.width(first))), *second) for first, second in pairs][:height]


def _told(facts: Sequence[Fact], width: int, glyphs: Glyphs) -> list[Line]:
    """Each fact on its line; one that is too long goes on below itself."""
    lines: list[Line] = []
    for label, spans in facts:
        folded = text.wrapped(spans, width - LABEL) if spans else [()]
        lines += [(Span(("" if at else label).ljust(LABEL), Tone.FAINT), *part) for at, part in enumerate(folded)]
    return [text.cut_line(each, width, glyphs.ellipsis) for each in lines]


def _of_request(snapshot: RequestSnapshot, detail: RequestDetail, zone: tzinfo | None, glyphs: Glyphs) -> list[Fact]:
    line, route = detail.line, snapshot.route
    held = (
        f"revision {route.number}, since {route.since.astimezone(zone):%d %b %H:%M}" if route and route.number else ""
    )
    tags = "  ".join(f"{name}={value}" for name, value in line.tags.items())
    return [
        ("request", (Span(line.request_id, Tone.STRONG),)),
        ("came", (Span(f"{line.at.astimezone(zone):%a %d %b %Y %H:%M:%S.%f}"[:-3]),)),
        ("key", (Span(f"{key_name(line)}, generation {detail.generation}"),)),
        ("pays", (Span(f"{line.customer}/{line.project}"),)),
        ("asked for", (Span(f"{line.alias}  ({line.dialect}{', stream' if line.stream else ''})"),)),
        ("routes", (Span(held or glyphs.unknown),)),
        ("tags", (Span(tags or glyphs.unknown),)),
        ("cost", (Span(dollars(line.cost_pico, glyphs), Tone.MONEY),)),
        ("charge", (Span(dollars(line.charge_pico, glyphs), Tone.MONEY),)),
    ]


def _of_attempt(snapshot: RequestSnapshot, attempt: AttemptLine, glyphs: Glyphs) -> list[Fact]:
    price = next((each for each in snapshot.prices if each.number == attempt.price_id), None)
    counts = (
        ("in", attempt.input_tokens),
        ("cached", attempt.cached_input_tokens),
        ("written to cache", attempt.cache_write_tokens),
        ("out", attempt.output_tokens),
        ("reasoning", attempt.reasoning_tokens),
        ("audio in", attempt.audio_input_tokens),
        ("audio out", attempt.audio_output_tokens),
        ("images", attempt.images),
    )
    known = f" {glyphs.separator} ".join(f"{count:,} {what}" for what, count in counts if count is not None)
    told = f"version {price.number} of {price.model}, from {price.since:%Y-%m-%d}, {price.source}" if price else ""
    return [
        ("attempt", (Span(f"{attempt.number}  {attempt.target}", Tone.STRONG),)),
        *([("error", (Span(attempt.error_code, Tone.WARNING),))] if attempt.error_code else []),
        *([("", (Span(attempt.error_text),))] if attempt.error_text else []),
        ("provider's id", (Span(attempt.provider_request_id or glyphs.unknown),)),
        ("tokens", (Span(known or glyphs.unknown, Tone.TOKENS if known else Tone.FAINT),)),
        ("counted by", (Span(attempt.basis),)),
        ("price", (Span(told or glyphs.unknown),)),
        ("at most", (Span(dollars(attempt.bound_pico, glyphs)),)),
        ("held", (Span(dollars(attempt.hold_pico, glyphs)),)),
        *([("in doubt", (Span(dollars(attempt.doubt_pico, glyphs), Tone.WARNING),))] if attempt.doubt_pico else []),
    ]
