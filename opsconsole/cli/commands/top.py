"""`gwctl top`: the live table in the normal screen, on a pipe, or for a screen reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.clock import rfc3339
from keyvault.domain.names import parse_duration
from keyvault.errors import UsageError
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Format, json_line
from opsconsole.cli.session import NothingSetUp, Session
from opsconsole.cli.verbs import single
from opsconsole.cli.watching import Interval, Plain, Times, watch

if TYPE_CHECKING:
    from opsconsole.view.live.snapshot import LiveQuestion, LiveSnapshot

_GROUPS: Final = ("key", "model", "project", "customer", "target")
_WINDOWS: Final = ("5m", "15m", "1h", "6h", "24h", "7d", "30d")
_WIDEST: Final = 10_000


@single(
    "top",
    examples="""
    gwctl top
    gwctl top --by customer --window 24h --interval 10
    gwctl top --count 1 --json
    """,
)
def app(
    session: Session,
    by: Annotated[
        str,
        typer.Option("--by", metavar="WORD", help=f"{', '.join(_GROUPS)}.", autocompletion=names_in(_GROUPS)),
    ] = "key",
    window: Annotated[
        str,
        typer.Option("--window", metavar="SPAN", help=f"{', '.join(_WINDOWS)}.", autocompletion=names_in(_WINDOWS)),
    ] = "15m",
    interval: Interval = 2.0,
    rows: Annotated[int, typer.Option("-n", "--limit", metavar="COUNT", min=1, max=200, help="So many rows.")] = 20,
    times: Times = None,
    plain: Plain = False,
) -> None:
    """Show what is being used now, the dearest first, again and again until ctrl-c.

    On a terminal the table is redrawn in its place; with --plain, and on a pipe, each follows the one before it. With
    --json one object per line.
    """
    form = session.options.format
    if form not in (Format.TABLE, Format.JSON, Format.JSONL):
        raise UsageError(f"gwctl top does not write -o {form}", hint="-o json, or gwctl usage show")
    question = _question(by, window)
    if not session.unopened_home.exists:
        raise NothingSetUp(session.unopened_home)
    from opsconsole.readers.home import HomeReader

    reader = HomeReader(session.home)
    written: Callable[[LiveSnapshot], str] = (
        (lambda snapshot: _text(session, snapshot, rows, plain=plain))
        if form is Format.TABLE
        else (lambda snapshot: _json(snapshot, rows))
    )
    watch(session, interval, lambda: written(reader.read(question)), times, plain=plain)  # type: ignore[arg-type]


def _question(by: str, window: str) -> LiveQuestion:
    from opsconsole.view.live.snapshot import GroupBy, LiveQuestion
    from opsconsole.view.snapshot import WINDOWS

    if by not in _GROUPS:
        raise UsageError(f"cannot group by {by[:20]!a}", hint=f"one of {', '.join(_GROUPS)}")
    found = next((known for known in WINDOWS if known.seconds == parse_duration(window).total_seconds()), None)
    if found is None:
        raise UsageError(f"no such window: {window[:20]!a}", hint=f"one of {', '.join(_WINDOWS)}")
    return LiveQuestion(window=found, by=GroupBy(by))


def _text(session: Session, snapshot: LiveSnapshot, rows: int, *, plain: bool) -> str:
    from opsconsole.view.inline import lines
    from opsconsole.view.live.rows import table
    from opsconsole.view.text import ASCII, glyphs_for

    drawn = glyphs_for(session.io.streams.stdout.encoding, session.surroundings.environ.get("TERM", "dumb"))
    glyphs = ASCII if plain else drawn
    width = session.io.width if session.io.on_terminal else _WIDEST
    return "".join(f"{line}\n" for line in lines(snapshot, table(snapshot, glyphs=glyphs, most=rows), width, glyphs))


def _json(snapshot: LiveSnapshot, rows: int) -> str:
    from opsconsole.view.live.rows import BY_COST, table
    from opsconsole.view.sums import Sums

    def told(sums: Sums) -> dict[str, object]:
        known = None if sums.unpriced and not sums.cost_pico else format_usd(sums.cost_pico)
        return {
            "requests": sums.requests,
            "errors": sums.errors,
            "input_tokens": sums.input_tokens,
            "cached_input_tokens": sums.cached_tokens,
            "output_tokens": sums.output_tokens,
            "cost": known,
            "unknown_cost_attempts": sums.unpriced,
            "first_content_p50_ms": sums.first_p50_ms,
            "total_p95_ms": sums.total_p95_ms,
        }

    by = snapshot.question.by
    rates = snapshot.now
    shown = {row.key for row in table(snapshot, BY_COST, most=rows).rows}
    return json_line(
        {
            "at": rfc3339(snapshot.taken_at),
            "window_seconds": snapshot.question.window.seconds,
            "by": by.value,
            "currency": CURRENCY,
            "requests_per_second": None if rates is None else round(rates.requests, 3),
            "open_streams": snapshot.open_streams,
            "cost_today": format_usd(snapshot.spending.today_pico),
            "rows": [
                {by.value: row.group, **({"model": row.model} if by.splits_by_model else {}), **told(row.sums)}
                for row in snapshot.rows
                if row.key in shown
            ],
            "total": told(snapshot.totals),
        }
    )
