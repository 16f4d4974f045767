"""`usage show`: sums by whatever is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import typer

from keyvault.domain.names import counted
from keyvault.domain.reports import Totals, UsageReport
from keyvault.errors import UsageError
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.commands.usage.noun import (
    ALL,
    TITLES,
    By,
    Env,
    Zone,
    dimensions,
    of_env,
    of_tag,
    stretch_of,
    sums,
    usage,
)
from opsconsole.cli.output import Column, Format, Listing, render, whole_line
from opsconsole.cli.session import Session
from opsconsole.cli.watching import Interval, Plain, Times, watch

_SUMS: Final = ("requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost", "charge")


@usage.verb(
    "show",
    examples="""
    gwctl usage show --since 24h --by key,model
    gwctl usage show --since 2026-10-01 --until 2026-11-01 --by customer,day --tz Europe/Berlin -o csv
    """,
)
def show(
    session: Session,
    since: Annotated[str, typer.Option("--since", metavar="WHEN", help="24h, 30d, a date or a time.")] = "24h",
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="Up to, but without, this.")] = None,
    by: By = "key,model",
    tz: Zone = "UTC",
    env: Env = None,
    tag: Annotated[
        str | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Only of keys, projects and customers that have it."),
    ] = None,
    again: Annotated[bool, typer.Option("--watch", help="Again and again, until ctrl-c.")] = False,
    interval: Interval = 2.0,
    times: Times = None,
    plain: Plain = False,
) -> None:
    """Show what was used, by whatever is asked: exact sums, and how the counts are known.

    Customer and project are those who pay. What keys for tests did is left out, unless --env or --by env asks for it.
    Tags are those of the key, else of the project or customer that pays, as they are now; those of single requests:
    gwctl usage tail --tag. Dates without a zone are of --tz. With --watch the table is redrawn in its place on a
    terminal; on a pipe, and with --plain, each follows the one before it, and with --json each is one line.
    """
    from keyvault.metering.spans import zone_of

    asked, zone, clock = dimensions(by), zone_of(tz), session.unopened_home.clock
    filters = {**of_env(env), **of_tag(tag)}

    def stretch() -> tuple[datetime, datetime]:
        return stretch_of(since, until, clock.now(), zone)

    def read() -> UsageReport:
        return session.home.reports.usage(*stretch(), asked, tz, filters)

    if again:
        if session.options.format not in (Format.TABLE, Format.JSON, Format.JSONL):
            raise UsageError(f"--watch does not write -o {session.options.format}", hint="-o json for one line each")
        watch(session, interval, lambda: _block(session, read()), times, plain=plain)
        return
    report = read()
    session.show(_listing(report))
    if not report.rows and session.options.format not in (Format.JSON, Format.JSONL):
        start, end = stretch()
        session.io.note(f"there was no traffic between {_minute(start)} and {_minute(end)}")
    _notes(session, report, told_env=env is not None)


def _listing(report: UsageReport) -> Listing:
    rows = [{**dict(zip(report.by, row.group, strict=True)), **sums(row.totals)} for row in report.rows]
    shown = (*_SUMS, "in_doubt") if report.total.doubt_pico else _SUMS
    columns = [Column(name) for name in report.by] + [Column(name, TITLES.get(name, "")) for name in shown]
    extra = {
        "currency": CURRENCY,
        "since": report.since,
        "until": report.until,
        "tz": report.tz,
        "by": report.by,
        "env": report.envs[0] if len(report.envs) == 1 else ALL,
        "left_out": None if report.left_out is None else sums(report.left_out),
    }
    return Listing("rows", rows, columns, key=report.by[0], extra=extra, total=sums(report.total))


def _block(session: Session, report: UsageReport) -> str:
    """One reading of many."""
    if session.options.format is not Format.TABLE:
        return whole_line(_listing(report))
    table = render(_listing(report), Format.TABLE, session.look()) or "no traffic\n"
    return f"usage from {_minute(report.since)} to {_minute(report.until)}\n{table}"


def _notes(session: Session, report: UsageReport, *, told_env: bool) -> None:
    """What has to be said beside the sums, to people."""
    of_programs = session.options.format in (Format.JSON, Format.JSONL)
    if report.left_out is not None and not told_env and not of_programs:
        session.io.note(f"left out: {_of_tests(report.left_out)}; with it: --env all")
    _warn_of_unknown(session, report.total)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _warn_of_unknown(session: Session, total: Totals) -> None:
    if total.unknown_cost_attempts and session.options.format is Format.TABLE:
        session.io.note(
            f"{total.unknown_cost_attempts} of {total.attempts} attempts have no known cost:"
            " no price was known (gwctl prices set), or how they ended was not"
        )


def _of_tests(totals: Totals) -> str:
    cost = "an unknown cost" if totals.cost_pico is None else f"{format_usd(totals.cost_pico)} {CURRENCY}"
    return f"{counted(totals.requests, 'request')} of keys for tests, {cost}"
