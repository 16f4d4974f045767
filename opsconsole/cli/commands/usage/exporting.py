"""`usage export`: every attempt as a row, for a warehouse or an auditor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from keyvault.clock import rfc3339
from keyvault.errors import UsageError
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.commands.usage.noun import Zone, end_of, stretch_of, usage
from opsconsole.cli.files import OutFile, written
from opsconsole.cli.output import Format, json_line
from opsconsole.cli.session import Session
from opsconsole.cli.text import csv_cell, harmless
from opsconsole.view import sheet

if TYPE_CHECKING:
    Row = tuple[Any, ...]
    Write = Callable[[list[Row]], str]
    Ways = list[tuple[int, Callable[[Any], str | None]]]

_DAY: Final = "24h"
_TEXTS: Final = (
    "customer",
    "project",
    "key",
    "alias",
    "upstream",
    "model",
    "error_code",
    "error_text",
    "provider_request_id",
)


@usage.verb(
    "export",
    examples="""
    gwctl usage export --raw --since 2026-10-01 --until 2026-11-01 -o csv --out october.csv
    gwctl usage export --raw --after 01K6GZ5V3QW8N4T0XJ2RBCMDEF-1 -o jsonl
    """,
)
def export(
    session: Session,
    raw: Annotated[bool, typer.Option("--raw", help="Single attempts, not sums.")] = False,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help="24h, a date or a time.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to, but without, this.")] = None,
    after: Annotated[str | None, typer.Option("--after", metavar="ID", help="Go on behind this row.")] = None,
    tz: Zone = "UTC",
    out: OutFile = None,
) -> None:
    """Write every attempt that began in a stretch of time: one row each, in the order of their ids.

    A note says where to go on next time: behind that id requests may still end. Keys for tests are included.
    """
    from keyvault.metering.exporting import FIELDS
    from keyvault.metering.spans import zone_of

    if not raw:
        raise UsageError("usage export writes single attempts: say --raw", hint="for sums: gwctl usage report -o csv")
    heading, write_page = _writers(session.options.format, FIELDS)
    now, zone = session.unopened_home.clock.now(), zone_of(tz)
    given = since or (None if after else _DAY)
    start, end = (None, end_of(until, now, zone)) if given is None else stretch_of(given, until, now, zone)
    reports = session.home.reports
    pages = reports.attempts(start, end, after)  # refuses what --after cannot be, before anything is written
    settled, count, last = reports.settled_behind(), 0, None
    with written(session, out) as write:
        write(heading)
        for page in pages:
            write(write_page(page))
            count += len(page)
            last = next((row[0] for row in reversed(page) if row[1] <= settled), last)
    on = f"; to go on: --after {last}" if last else ""
    session.io.note(f"{count:,} attempts{on}")


def _writers(form: Format, fields: tuple[str, ...]) -> tuple[str, Write]:
    """What begins the file, and what makes a page's text. Raises `UsageError`.

    Which values have to be written in another way is decided once, not for each of a million rows.
    """
    from keyvault.metering.exporting import MONEY

    exact: Ways = [(fields.index(name), format_usd) for name in MONEY]
    exact.append((fields.index("at"), rfc3339))
    if form is Format.CSV:
        ways: Ways = [*exact, *((fields.index(name), harmless) for name in _TEXTS)]
        ways += [(fields.index(name), csv_cell) for name in ("stream", "final", "tags")]
        return sheet.lines([[*fields, "currency"]]), lambda page: sheet.lines(_told(row, ways) for row in page)
    if form in (Format.JSON, Format.JSONL):
        names = (*fields, "currency")
        return "", lambda page: "".join(json_line(dict(zip(names, _told(r, exact), strict=True))) for r in page)
    raise UsageError("usage export writes -o csv or -o jsonl", hint="gwctl usage export --raw -o csv --out FILE")


def _told(row: Row, ways: Ways) -> list[Any]:
    values = [*row, CURRENCY]
    for at, way in ways:
        if values[at] is not None:
            values[at] = way(values[at])
    return values
