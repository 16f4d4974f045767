"""Blind review as lines: how far it has come, what was asked, and two answers whose authors are not named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, printable

_BAR: Final = 20


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair as a person sees it, and how far the review has come."""

    id: str
    task: str | None
    request: str
    left: str
    right: str
    decided: int
    pending: int
    put_off: int = 0
    """Of the pending ones."""


def progress(shown: Shown, glyphs: Glyphs = UNICODE) -> Line:
    """`blind review  ▰▰▰▱▱▱  7 decided, 17 to go   extract`"""
    whole = shown.decided + shown.pending
    full = round(_BAR * shown.decided / whole) if whole else 0
    bar = glyphs.bar[0] * full + glyphs.bar[1] * (_BAR - full)
    off = f", {shown.put_off} of them put off" if shown.put_off else ""
    spans = (
        Span("blind review  ", Tone.STRONG),
        Span(bar, Tone.ACCENT),
        Span(f"  {shown.decided:,} decided, {shown.pending:,} to go{off}", Tone.FAINT),
    )
    return (*spans, Span(f"   {printable(shown.task)}", Tone.MONEY)) if shown.task else spans


def told(text: str, tone: Tone = Tone.PLAIN) -> tuple[Line, ...]:
    """A text of a model or a person, line by line and harmless; what is empty says so."""
    if not text.strip():
        return ((Span("(empty)", Tone.FAINT),),)
    lines = text.replace("\r\n", "\n").replace("\t", "    ").split("\n")
    return tuple((Span(printable(each), tone),) for each in lines)
