"""What the pane beside the Requests table says of the cursor's row: all that one line of the ledger knows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from keyvault.domain.reports import RequestLine
from opsconsole.view import numbers, text
from opsconsole.view.requests.rows import DECIMALS, cached_share, key_name, percent, state
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone

LABEL = 9


def beside(line: RequestLine, zone: tzinfo | None, width: int, height: int, glyphs: Glyphs = UNICODE) -> Sequence[Line]:
    """As many lines as fit."""
    facts: list[tuple[str, Sequence[Span]]] = [
        ("", (Span(line.request_id, Tone.STRONG),)),
        ("", ()),
        ("key", (Span(key_name(line)),)),
        ("pays", (Span(f"{line.customer}/{line.project}"),)),
        ("asked", (Span(line.alias), Span(f"  {line.dialect}{', stream' if line.stream else ''}", Tone.FAINT))),
        *(
            ("" if at else "failed", (Span(f"{glyphs.alarm} {before}", Tone.WARNING),))
            for at, before in enumerate(line.failed_over)
        ),
        ("target", (Span(line.target), Span("  "), state(line.status, line.outcome, glyphs))),
        *([("error", (Span(line.error, Tone.WARNING),))] if line.error else []),
        ("", ()),
        ("in", _tokens(line.input_tokens, f"{percent(cached_share(line), glyphs)} % cached", glyphs)),
        ("out", _tokens(line.output_tokens, _reasoning(line, glyphs), glyphs)),
        ("counted", (Span(f"by {line.basis}" if line.basis != "unknown" else "not known"),)),
        ("cost", (Span(_dollars(line.cost_pico, glyphs), Tone.MONEY),)),
        ("charge", (Span(_dollars(line.charge_pico, glyphs), Tone.MONEY),)),
        ("", ()),
        ("came", (Span(line.at.astimezone(zone).strftime("%a %d %b  %H:%M:%S.%f")[:-3]),)),
        ("first", (Span(numbers.latency(line.first_content_ms, glyphs)),)),
        ("total", (Span(numbers.latency(line.total_ms, glyphs)),)),
        *([("", ())] if line.tags else []),
        *(("" if at else "tags", (Span(f"{name}={value}"),)) for at, (name, value) in enumerate(line.tags.items())),
    ]
    return [text.cut_line(_fact(label, spans), width, glyphs.ellipsis) for label, spans in facts][:height]


def _fact(label: str, spans: Sequence[Span]) -> Line:
    lead = () if not label and spans and spans[0].tone is Tone.STRONG else (Span(label.ljust(LABEL), Tone.FAINT),)
    return (*lead, *spans)


def _tokens(count: int | None, more: str, glyphs: Glyphs) -> Sequence[Span]:
    if not count:
        return (Span(numbers.count(count, glyphs), Tone.FAINT),)
    return (Span(numbers.count(count, glyphs), Tone.TOKENS), Span(f"  {more}" if more else "", Tone.FAINT))


def _reasoning(line: RequestLine, glyphs: Glyphs) -> str:
    return f"{numbers.count(line.reasoning_tokens, glyphs)} reasoning" if line.reasoning_tokens else ""


def _dollars(pico: int | None, glyphs: Glyphs) -> str:
    return glyphs.unknown if pico is None else f"$ {numbers.dollars(pico, DECIMALS, glyphs)}"
