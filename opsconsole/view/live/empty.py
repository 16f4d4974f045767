"""What the Live view says where its table has no rows."""

from __future__ import annotations

from opsconsole.view import numbers
from opsconsole.view.live.snapshot import LiveSnapshot
from opsconsole.view.notices import Notice, first_run
from opsconsole.view.snapshot import WINDOWS
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line


def empty(snapshot: LiveSnapshot, glyphs: Glyphs = UNICODE, *, acts: bool = True) -> Notice:
    """The steps to the first request; later, why nothing has come in the window."""
    if not snapshot.setup.ever_used:
        promise = "This page turns into the live view when the first request arrives."
        return first_run(snapshot.setup, glyphs, promise, acts=acts)
    window = snapshot.question.window
    lines: list[Line] = []
    if snapshot.last_request_at is not None:
        ago = snapshot.taken_at - snapshot.last_request_at
        lines.append(line(Span(f"The last one came {numbers.duration(ago)} ago.", Tone.FAINT)))
    if not snapshot.workers:
        lines.append(line(Span("No worker is running: ", Tone.FAINT), Span("gwctl serve", Tone.ACCENT)))
    elif window != WINDOWS[-1]:
        lines.append(line(Span("]", Tone.ACCENT), Span(" looks further back.", Tone.FAINT)))
    return Notice(f"No requests in the last {window.label}.", tuple(lines))
