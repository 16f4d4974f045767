"""The Live view as plain lines, for a terminal's normal screen, a pipe or a screen reader: figures, then the table."""

from __future__ import annotations

from typing import Final

from opsconsole.view import numbers
from opsconsole.view.layout import GAP, MARGIN, place
from opsconsole.view.live.snapshot import LiveSnapshot
from opsconsole.view.table import Table
from opsconsole.view.text import UNICODE, Glyphs, cut

EMPTY: Final = "no traffic in this window"


def lines(snapshot: LiveSnapshot, table: Table, width: int, glyphs: Glyphs = UNICODE) -> list[str]:
    """At most `width` wide; columns that do not fit are left out, the least important first."""
    question = snapshot.question
    head = f"gwctl top, {snapshot.taken_at:%H:%M:%S} UTC, last {question.window.label}, by {question.by.heading}"
    figures = [head, _rates(snapshot, glyphs), _money(snapshot, glyphs), ""]
    rows = _rows(table, width) if table.rows else [EMPTY]
    cut_off = [table.tally] if len(table.rows) < table.matching or table.more else []
    return [cut(line, width, glyphs.ellipsis) for line in (*figures, *rows, *cut_off)]


def _rates(snapshot: LiveSnapshot, glyphs: Glyphs) -> str:
    now, share = snapshot.now, snapshot.totals.error_share
    per_second = "rate not known" if now is None else f"{numbers.short(now.requests)} requests/s"
    streams = "" if snapshot.open_streams is None else f", {snapshot.open_streams} streams open"
    first = numbers.latency(snapshot.totals.first_p50_ms, glyphs)
    errors = numbers.percent(share, glyphs)
    return (
        f"{per_second}, {numbers.count(snapshot.totals.requests)} in all, errors {errors}, first p50 {first}{streams}"
    )


def _money(snapshot: LiveSnapshot, glyphs: Glyphs) -> str:
    spent, totals = snapshot.spending, snapshot.totals
    today = numbers.money(spent.today_pico, unpriced=spent.today_unpriced, glyphs=glyphs)
    window = numbers.money(totals.cost_pico, unpriced=totals.unpriced, glyphs=glyphs)
    return f"cost {window}, today {today}, an hour {numbers.rough_money(spent.hourly_pico, glyphs)}"


def _rows(table: Table, width: int) -> list[str]:
    placed = place(table, width + MARGIN)  # no cursor stands at the left
    cells = [[column.heading for column in table.columns], *([cell.text for cell in row.cells] for row in table.rows)]
    return [
        (" " * GAP)
        .join(
            row[at.index].rjust(at.width) if at.right else cut(row[at.index], at.width).ljust(at.width) for at in placed
        )
        .rstrip()
        for row in cells
    ]
