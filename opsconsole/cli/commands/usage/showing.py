"""`usage show`: sums by whatever is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import typer

from keyvault.domain.names import counted
from keyvault.domain.reports import Totals
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.arguments import moment
from opsconsole.cli.commands.usage.noun import ALL, TITLES, By, Env, Zone, dimensions, of_env, sums, usage
from opsconsole.cli.output import Column, Format, Listing
from opsconsole.cli.session import Session

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
) -> None:
    """Show what was used, by whatever is asked: exact sums, and how the counts are known.

    Customer and project are those who pay. What keys for tests did is left out, unless --env or --by env asks for it.
    """
    now = session.unopened_home.clock.now()
    asked = dimensions(by)
    start, end = moment(since, now, past=True), now if until is None else moment(until, now, past=True)
    report = session.home.reports.usage(start, end, asked, tz, of_env(env))
    rows = [{**dict(zip(report.by, row.group, strict=True)), **sums(row.totals)} for row in report.rows]
    shown = (*_SUMS, "in_doubt") if report.total.doubt_pico else _SUMS
    columns = [Column(name) for name in report.by] + [Column(name, TITLES.get(name, "")) for name in shown]
    session.show(
        Listing(
            "rows",
            rows,
            columns,
            key=report.by[0],
            extra={
                "currency": CURRENCY,
                "since": report.since,
                "until": report.until,
                "tz": report.tz,
                "by": report.by,
                "env": report.envs[0] if len(report.envs) == 1 else ALL,
                "left_out": None if report.left_out is None else sums(report.left_out),
            },
            total=sums(report.total),
        )
    )
    if session.options.format not in (Format.JSON, Format.JSONL):
        if not rows:
            session.io.note(f"there was no traffic between {_minute(start)} and {_minute(end)}")
        if report.left_out is not None and env is None:
            session.io.note(f"left out: {_of_tests(report.left_out)}; with it: --env all")
    _warn_of_unknown(session, report.total)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _warn_of_unknown(session: Session, total: Totals) -> None:
    if total.unknown_cost_attempts and session.options.format is Format.TABLE:
        session.io.note(
            f"{total.unknown_cost_attempts} of {total.attempts} attempts have no known cost; prices: gwctl prices set"
        )


def _of_tests(totals: Totals) -> str:
    cost = "an unknown cost" if totals.cost_pico is None else f"{format_usd(totals.cost_pico)} {CURRENCY}"
    return f"{counted(totals.requests, 'request')} of keys for tests, {cost}"
