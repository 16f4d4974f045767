"""What the Requests table says it shows, and what it says where it has no rows."""

from __future__ import annotations

from datetime import tzinfo

from keyvault.domain.narrowing import Narrowing
from opsconsole.view.notices import Notice, first_run
from opsconsole.view.requests.snapshot import RequestsQuestion, RequestsSnapshot
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line


def lead(question: RequestsQuestion, zone: tzinfo | None = None, glyphs: Glyphs = UNICODE) -> Line:
    """`requests of key ci-bot · model gpt-5 · failed`"""
    told = narrowed(question.narrowing, zone)
    first = Span("older requests" if question.before else "requests", Tone.FAINT if told else Tone.STRONG)
    if not told:
        return line(first)
    spans = [first, Span(" of " if question.narrowing.names else ": ", Tone.FAINT)]
    for at, (kind, value) in enumerate(told):
        spans += [Span(f" {glyphs.separator} ", Tone.FAINT)] if at else []
        spans += [Span(f"{kind} ", Tone.FAINT)] if kind else []
        spans.append(Span(value, Tone.STRONG))
    return tuple(spans)


def narrowed(narrowing: Narrowing, zone: tzinfo | None) -> list[tuple[str, str]]:
    """What it is narrowed to: kind and value of each."""
    told = list(narrowing.names.items())
    if narrowing.failed:
        told.append(("", "failed"))
    if narrowing.since is not None:
        until = narrowing.until
        since = narrowing.since.astimezone(zone).strftime("%d %b %H:%M")
        told.append(("since", since) if until is None else ("", f"{since} to {until.astimezone(zone):%d %b %H:%M}"))
    return told


def empty(snapshot: RequestsSnapshot, glyphs: Glyphs = UNICODE, *, acts: bool = True) -> Notice:
    """Why there is nothing, and what to do about it."""
    if not snapshot.setup.ever_used:
        return first_run(snapshot.setup, glyphs, "Each request will stand here as it ends.", acts=acts)
    question = snapshot.question
    if snapshot.older is not None:
        further = line(Span("]", Tone.ACCENT), Span(" looks further back.", Tone.FAINT))
        return Notice("None in the stretch of time looked through.", (further,))
    if question.narrowing == Narrowing() and not question.before:
        waiting = "as soon as it ends" if snapshot.workers else "when a worker runs: gwctl serve"
        return Notice("No request has ended yet.", (line(Span(f"The next one shows {waiting}.", Tone.FAINT)),))
    if question.before:
        back = line(Span("[", Tone.ACCENT), Span(" goes back to the newer ones.", Tone.FAINT))
        return Notice("No older requests.", (back,))
    what = ", ".join(f"{kind} {value}".strip() for kind, value in narrowed(question.narrowing, None))
    back = line(Span("esc", Tone.ACCENT), Span(" shows all requests.", Tone.FAINT))
    return Notice(f"No requests of {what}.", (back,))
