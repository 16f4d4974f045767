"""`usage export`: every attempt as a row, for a warehouse or an auditor."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from keyvault.errors import UsageError
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.arguments import moment
from opsconsole.cli.commands.usage.noun import Zone, usage
from opsconsole.cli.files import OutFile, written
from opsconsole.cli.output import Format
from opsconsole.cli.session import Session
from opsconsole.cli.text import csv_cell, plain
from opsconsole.view import sheet

if TYPE_CHECKING:
    Row = tuple[Any, ...]
    Write = Callable[[list[Row]], str]

_DAY: Final = "24h"


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
    start = None if given is None else moment(given, now, past=True, zone=zone)
    end = now if until is None else moment(until, now, past=True, zone=zone)
    reports = session.home.reports
    settled, count, last = reports.settled_behind(), 0, None
    with written(session, out) as write:
        write(heading)
        for page in reports.attempts(start, end, after):
            write(write_page(page))
            count += len(page)
            last = next((row[0] for row in reversed(page) if row[1] <= settled), last)
    on = f"; to go on: --after {last}" if last else ""
    session.io.note(f"{count:,} attempts{on}")


def _writers(form: Format, fields: tuple[str, ...]) -> tuple[str, Write]:
    """What begins the file, and what makes a page's text. Raises `UsageError`."""
    from keyvault.metering.exporting import MONEY

    money = [fields.index(name) for name in MONEY]
    if form is Format.CSV:
        return sheet.lines([[*fields, "currency"]]), lambda page: sheet.lines([_cells(row, money) for row in page])
    if form in (Format.JSON, Format.JSONL):
        return "", lambda page: "".join(_json(dict(zip(fields, _exact(row, money), strict=True))) for row in page)
    raise UsageError("usage export writes -o csv or -o jsonl", hint="gwctl usage export --raw -o csv --out FILE")


def _exact(row: Row, money: list[int]) -> list[Any]:
    values = list(row)
    for at in money:
        values[at] = None if values[at] is None else format_usd(values[at])
    return values


def _cells(row: Row, money: list[int]) -> list[Any]:
    return [*(csv_cell(value) for value in _exact(row, money)), CURRENCY]


def _json(row: Mapping[str, Any]) -> str:
    return json.dumps(plain({**row, "currency": CURRENCY}), separators=(",", ":")) + "\n"
