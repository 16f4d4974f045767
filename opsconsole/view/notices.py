"""What stands where the table would, when there is nothing to show: why it is empty, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opsconsole.view.feed import Feed
from opsconsole.view.filters import Filter
from opsconsole.view.snapshot import Setup
from opsconsole.view.table import Table
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


def notice(
    feed: Feed,
    table: Table | None,
    wanted: Filter,
    empty: Callable[[], Notice | None],
    glyphs: Glyphs = UNICODE,
) -> Notice | None:
    """The notice for what is known, None where the table has rows. `empty`: what a view says of a table without."""
    if feed.snapshot is None:
        return _unread(feed, glyphs)
    if not feed.snapshot.setup.initialised:
        return first_run(feed.snapshot.setup, glyphs)
    if table is None or table.rows:
        return None
    return _filtered(table, wanted) if table.total else empty()


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
