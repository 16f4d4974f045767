"""What the Usage table says it shows: the way one came, the grouping; and why it has no rows."""

from __future__ import annotations

from keyvault.domain.pivot import PivotAsked
from opsconsole.view.notices import Notice, first_run
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line, printable
from opsconsole.view.usage.snapshot import UsageSnapshot


def lead(asked: PivotAsked, left_out: int, glyphs: Glyphs = UNICODE) -> Line:
    """`acme › helpdesk › by key`"""
    spans: list[Span] = []
    for name in crumbs(asked):
        spans += [Span(name, Tone.STRONG), Span(f" {glyphs.into} ", Tone.FAINT)]
    spans += [Span("by ", Tone.FAINT), Span(asked.by, Tone.STRONG)]
    if asked.tests:
        spans.append(Span("  with tests", Tone.FAINT))
    elif left_out:
        spans.append(Span(f"  without {left_out:,} of tests", Tone.FAINT))
    return tuple(spans)


def crumbs(asked: PivotAsked) -> list[str]:
    """The way one came; a project below its customer without that one's name."""
    told = [asked.day] if asked.day else []
    above = ""
    for _, value in asked.only:
        told.append(printable(value.removeprefix(f"{above}/") if above else value))
        above = value
    return told


def window(asked: PivotAsked) -> str:
    return asked.day or asked.stretch.value


def empty(snapshot: UsageSnapshot, glyphs: Glyphs = UNICODE, *, acts: bool = True) -> Notice:
    """Why there is nothing, and what to do about it."""
    if not snapshot.setup.ever_used:
        promise = "Sums and charts stand here once the first request has ended."
        return first_run(snapshot.setup, glyphs, promise, acts=acts)
    asked = snapshot.question.asked
    what = f" of {', '.join(crumbs(asked))}" if asked.only else ""
    lines = [line(Span("]", Tone.ACCENT), Span(" looks further back.", Tone.FAINT))]
    if snapshot.pivot is not None and snapshot.pivot.left_out:
        tests = f" counts the {snapshot.pivot.left_out:,} requests of keys for tests, too."
        lines.append(line(Span("t", Tone.ACCENT), Span(tests, Tone.FAINT)))
    span = "on" if asked.day else "in the last" if asked.stretch.value[0].isdigit() else ""
    return Notice(f"No usage{what} {span} {window(asked)}.".replace("  ", " "), tuple(lines))
