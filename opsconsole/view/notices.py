"""What stands where the table would, when there is nothing to show: why it is empty, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opsconsole.view import text
from opsconsole.view.feed import Feed
from opsconsole.view.filters import Filter
from opsconsole.view.snapshot import Setup
from opsconsole.view.table import Table
from opsconsole.view.text import UNICODE, Glyphs, Line, Span, Tone, line

SMALLEST: Final = (60, 15)
"""Columns and lines below which the console says so instead of showing half of itself."""
INDENT: Final = 14
"""Where the words of a step begin."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A page of a few lines. `whole`: it takes the place of the figures too, not of the table alone."""

    title: str
    lines: tuple[Line, ...] = ()
    whole: bool = False

    def drawn(self, width: int, _height: int) -> tuple[Line, ...]:
        whole = (line(Span(self.title, Tone.STRONG)), (), *self.lines)
        return tuple(part for each in whole for part in text.folded(each, width, indent=INDENT if each[1:] else 0))


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


def first_run(setup: Setup, glyphs: Glyphs = UNICODE, promise: str = "", *, acts: bool = True) -> Notice:
    """The steps to the first request, done ones ticked, the next one marked. `promise`: what the page is to become;
    `acts`: the console can take the steps that have keys."""
    base_url = f"OPENAI_BASE_URL=http://{setup.listen or '127.0.0.1:8900'}/v1"
    upstreams = ", ".join(setup.upstreams)
    steps = (
        ("gateway", setup.initialised, "", "gwctl init", f"set up in {setup.home}"),
        ("upstream", bool(setup.upstreams), "3 then n", "gwctl upstreams create openai --provider openai", upstreams),
        ("key", setup.keys > 0, "2 then n", "gwctl keys create my-app", f"{setup.keys} created"),
        ("worker", setup.listen is not None, "", "gwctl serve", f"listening on {setup.listen}"),
        ("request", setup.ever_used, "", base_url, "seen"),
    )
    lines: list[Line] = [line(Span(promise, Tone.FAINT)), ()] if promise else []
    upcoming = next((name for name, done, *_ in steps if not done), "")
    for name, done, keys, command, told in steps:
        if done:
            lines.append(line(Span(f"  {glyphs.check} {name:<10}{told}", Tone.FAINT)))
        else:
            here = acts and setup.initialised and bool(keys)
            lines.append(_step(name, keys if here else "", command, upcoming=name == upcoming, glyphs=glyphs))
    if not setup.initialised:
        lines.extend(((), line(Span(f"Files will be in {setup.home}", Tone.FAINT))))
    return Notice("Nothing has gone through this gateway yet.", tuple(lines), whole=True)


def _step(name: str, keys: str, command: str, *, upcoming: bool, glyphs: Glyphs) -> Line:
    """What is to be done: by keys, where the console can, or by a command."""
    mark, tone = (glyphs.cursor, Tone.STRONG) if upcoming else (" ", Tone.PLAIN)
    way = Tone.ACCENT if upcoming else Tone.PLAIN
    either = (Span(keys, way), Span("  or ", Tone.FAINT)) if keys else ()
    return line(Span(f"  {mark} {name:<10}", tone), *either, Span(command, way))
