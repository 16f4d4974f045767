"""What stands where the table would, when there is nothing to show: why it is empty, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from opsconsole.view import numbers
from opsconsole.view.feed import Feed
from opsconsole.view.filters import Filter
from opsconsole.view.rows import Table
from opsconsole.view.snapshot import WINDOWS, Setup, Snapshot
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line

SMALLEST: Final = (60, 15)
"""Columns and lines below which the console says so instead of showing half of itself."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A page of a few lines. `whole`: it takes the place of the figures too, not of the table alone."""

    title: str
    lines: tuple[Line, ...] = ()
    whole: bool = False

    def drawn(self, _width: int, _height: int) -> tuple[Line, ...]:
        return (line(Span(self.title, Tone.STRONG)), (), *self.lines)


def notice(feed: Feed, table: Table | None, wanted: Filter, glyphs: Glyphs = UNICODE) -> Notice | None:
    """The notice for what is known, None where the table has rows."""
    snapshot = feed.snapshot
    if snapshot is None:
        return _unread(feed, glyphs)
    if not snapshot.setup.initialised or (not snapshot.setup.ever_used and not snapshot.rows):
        return first_run(snapshot.setup, glyphs)
    if table is None or table.rows:
        return None
    return _filtered(table, wanted) if table.total else _empty(snapshot)


def too_small(columns: int, rows: int) -> str | None:
    """A sentence for a terminal that is too small, else None."""
    if columns >= SMALLEST[0] and rows >= SMALLEST[1]:
        return None
    return f"The console needs {SMALLEST[0]}×{SMALLEST[1]} characters; this terminal has {columns}×{rows}."


def _unread(feed: Feed, glyphs: Glyphs) -> Notice:
    if feed.failure is None:
        return Notice(f"Reading the ledger{glyphs.ellipsis}", whole=True)
    hint = feed.failure.hint or "gwctl doctor"
    way_out = line(Span(hint, Tone.ACCENT), Span("  may help; it is tried again and again meanwhile.", Tone.FAINT))
    return Notice("The ledger could not be read yet.", (way_out,), whole=True)


def _filtered(table: Table, wanted: Filter) -> Notice:
    rows = "row is" if table.total == 1 else "rows are"
    return Notice(
        f"No row matches “{wanted.text.strip()}”.",
        (line(Span(f"{table.total:,} {rows} hidden; esc clears the filter.", Tone.FAINT)),),
    )


def _empty(snapshot: Snapshot) -> Notice:
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


def first_run(setup: Setup, glyphs: Glyphs = UNICODE) -> Notice:
    """The steps to the first request, done ones ticked, the next one marked."""
    base_url = f"OPENAI_BASE_URL=http://{setup.listen or '127.0.0.1:8900'}/v1"
    steps = (
        ("gateway", setup.initialised, "gwctl init", f"set up in {setup.home}"),
        (
            "upstream",
            bool(setup.upstreams),
            "gwctl upstreams create openai --provider openai",
            ", ".join(setup.upstreams),
        ),
        ("key", setup.keys > 0, "gwctl keys create my-app", f"{setup.keys} created"),
        ("worker", setup.listen is not None, "gwctl serve", f"listening on {setup.listen}"),
        ("request", setup.ever_used, base_url, "seen"),
    )
    lines: list[Line] = [
        line(Span("This page turns into the live view when the first request arrives.", Tone.FAINT)),
        (),
    ]
    upcoming = next((name for name, done, _, _ in steps if not done), "")
    lines.extend(
        _step(name, done=done, words=told if done else command, upcoming=name == upcoming, glyphs=glyphs)
        for name, done, command, told in steps
    )
    if not setup.initialised:
        lines.extend(((), line(Span(f"Files will be in {setup.home}", Tone.FAINT))))
    return Notice("Nothing has gone through this gateway yet.", tuple(lines), whole=True)


def _step(name: str, *, done: bool, words: str, upcoming: bool, glyphs: Glyphs) -> Line:
    if done:
        return line(Span(f"  {glyphs.check} {name:<10}", Tone.FAINT), Span(words, Tone.FAINT))
    if upcoming:
        return line(Span(f"  {glyphs.cursor} {name:<10}", Tone.STRONG), Span(words, Tone.ACCENT))
    return line(Span(f"    {name:<10}"), Span(words))
