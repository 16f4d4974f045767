"""`usage report`: a month for finance, as a table, a file for programs, or a document."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.errors import UsageError
from opsconsole.cli.commands.usage.noun import (
    TITLES,
    By,
    Env,
    Zone,
    dimensions,
    month_of,
    of_env,
    stretch_of,
    sums,
    usage,
)
from opsconsole.cli.files import OutFile, form_of, written
from opsconsole.cli.output import PIPE, Column, Format, Listing, Row, render
from opsconsole.cli.session import Session
from opsconsole.cli.text import amount

if TYPE_CHECKING:
    from keyvault.domain.reports import Totals
    from opsconsole.view.report.groups import Group, Report

_SHOWN: Final = (
    "requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "charge",
    "margin",
)


@usage.verb(
    "report",
    also=(Format.MD, Format.HTML),
    examples="""
    gwctl usage report --month 2026-10 --by customer,project,model --tz Europe/Berlin
    gwctl usage report --month 2026-10 --by customer,model --out october.html
    gwctl usage report --since 2026-07-01 --until 2026-10-01 --by customer -o csv
    """,
)
def report(
    session: Session,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="Of the time zone; the present one by default.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help="In place of a month.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to, but without, this.")] = None,
    by: By = "customer,project,model",
    tz: Zone = "UTC",
    env: Env = None,
    out: OutFile = None,
) -> None:
    """Report requests, tokens, cost, charge and margin in groups whose sums add up.

    Dates without a zone are of --tz. What keys for tests did is left out, unless --env or --by env asks for it. With
    --out the file's name decides the form where -o does not.
    """
    from keyvault.metering.spans import zone_of
    from opsconsole.view.report.groups import built, groupings

    asked, zone, now = dimensions(by), zone_of(tz), session.unopened_home.clock.now()
    start, end, title = _period(month, since, until, zone, now)
    found = built(session.home.reports.usages(start, end, groupings(asked), tz, of_env(env)), title, zone, now)
    form = form_of(session, out)
    with written(session, out) as write:
        write(_text(session, found, form, on_stdout=out is None))
    if form in (Format.TABLE, Format.CSV, Format.NAME):
        for remark in found.remarks:
            session.io.note(remark)


def _period(
    month: str | None, since: str | None, until: str | None, zone: tzinfo, now: datetime
) -> tuple[datetime, datetime, str]:
    """From when to when, and what the report is called. Raises `UsageError`."""
    if month is not None and (since is not None or until is not None):
        raise UsageError("--month and --since or --until ask for two things", hint="give one of them")
    if since is None and until is not None:
        raise UsageError("--until needs --since", hint="--since 2026-10-01 --until 2026-11-01")
    if since is not None:
        return *stretch_of(since, until, now, zone), "Usage"
    named = month or f"{now.astimezone(zone):%Y-%m}"
    return *month_of(named, zone), f"Usage in {named}"


def _text(session: Session, found: Report, form: Format, *, on_stdout: bool) -> str:
    if form in (Format.TABLE, Format.NAME):
        return render(_table(found), form, session.look() if on_stdout else PIPE)
    from opsconsole.view.report import files, markdown, page

    forms: dict[Format, Callable[[Report], str]] = {
        Format.JSON: files.as_json,
        Format.JSONL: files.as_json_lines,
        Format.CSV: files.as_csv,
        Format.MD: markdown.as_markdown,
        Format.HTML: page.as_html,
    }
    return forms[form](found)


def _table(found: Report) -> Listing:
    """Groups in front of what is within them, which stands to the right."""
    columns = [Column("group", " / ".join(found.by).upper()), *(Column(name, TITLES.get(name, "")) for name in _SHOWN)]
    lines = [_line(group) for group in found.lines()]
    return Listing("lines", lines, columns, key="name", total=_figures(found.total))


def _line(group: Group) -> Row:
    return {"group": "  " * group.depth + group.name, "name": group.name, **_figures(group.totals)}


def _figures(totals: Totals) -> Row:
    from opsconsole.view.report.figures import FIGURES
    from opsconsole.view.report.groups import margin_pico

    counts = {figure.id: figure.value(totals) for figure in FIGURES if not figure.money}
    return {**sums(totals), **counts, "margin": amount(margin_pico(totals))}
