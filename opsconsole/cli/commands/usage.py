"""`gwctl usage`: requests, tokens, cost and charge, from the ledger. The vault need not be unlocked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.names import counted
from keyvault.domain.reports import DIMENSIONS, LIVE, AttemptLine, RequestLine, Totals
from keyvault.errors import UsageError
from keyvault.money import CURRENCY, format_usd
from opsconsole.cli.arguments import Limit, moment, parts, tags
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import amount
from opsconsole.cli.verbs import Noun

usage = Noun(
    "usage",
    "Requests, tokens, cost and charge.",
    examples="gwctl usage show --since 24h --by key,model\ngwctl usage tail --follow",
)
app = usage.app

Env = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="live|test|all",
        help="Whose keys; live unless grouped by env.",
        autocompletion=names_in((*ENVIRONMENTS, "all")),
    ),
]
_ALL = "all"
_FOLLOW_SECONDS = 0.5
_SUMS = ("requests", "errors", "input_tokens", "cached_input_tokens", "output_tokens", "cost", "charge")
_TITLES = {
    "input_tokens": "IN",
    "cached_input_tokens": "CACHED",
    "output_tokens": "OUT",
    "first_content_ms": "FIRST MS",
    "in_doubt": "IN DOUBT",
}
_LINE = (
    "at",
    "key",
    "alias",
    "target",
    "status",
    "outcome",
    "input_tokens",
    "output_tokens",
    "cost",
    "first_content_ms",
    "failed_over",
)


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
    by: Annotated[
        str,
        typer.Option(
            "--by", metavar="LIST", help=f"Any of {','.join(DIMENSIONS)}.", autocompletion=names_in(DIMENSIONS)
        ),
    ] = "key,model",
    tz: Annotated[
        str, typer.Option("--tz", metavar="ZONE", help="Whose days and hours, such as Europe/Berlin.")
    ] = "UTC",
    env: Env = None,
) -> None:
    """Show what was used, by whatever is asked: exact sums, and how the counts are known.

    Customer and project are those who pay. What keys for tests did is left out, unless --env or --by env asks for it.
    """
    now = session.unopened_home.clock.now()
    asked = _dimensions(by)
    start, end = moment(since, now, past=True), now if until is None else moment(until, now, past=True)
    report = session.home.reports.usage(start, end, asked, tz, _of_env(env))
    rows = [{**dict(zip(report.by, row.group, strict=True)), **_sums(row.totals)} for row in report.rows]
    sums = (*_SUMS, "in_doubt") if report.total.doubt_pico else _SUMS
    columns = [Column(name) for name in report.by] + [Column(name, _TITLES.get(name, "")) for name in sums]
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
                "env": report.envs[0] if len(report.envs) == 1 else _ALL,
                "left_out": None if report.left_out is None else _sums(report.left_out),
            },
            total=_sums(report.total),
        )
    )
    if session.options.format not in (Format.JSON, Format.JSONL):
        if not rows:
            session.io.note(f"there was no traffic between {_minute(start)} and {_minute(end)}")
        if report.left_out is not None and env is None:
            session.io.note(f"left out: {_of_tests(report.left_out)}; with it: --env all")
    _warn_of_unknown(session, report.total)


@usage.verb(
    "tail",
    examples="""
    gwctl usage tail
    gwctl usage tail --follow --json
    gwctl usage tail --tag feature=search
    """,
)
def tail(
    session: Session,
    count: Limit = 20,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new ones as they end.")] = False,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="NAME=VALUE", help="Only requests that came with it. More than once: with all."),
    ] = None,
) -> None:
    """Show the newest requests, oldest first. With --json one object per line."""
    newest = session.home.reports.follow(count, tags(tag))
    _print_lines(session, newest.next(), heading=True)
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        _print_lines(session, newest.next(), heading=False)


@usage.verb("request", examples="gwctl usage request 01K6GZ5V3QW8N4T0XJ2RBCMDEF")
def request(
    session: Session, request_id: Annotated[str, typer.Argument(metavar="ID", help="The answer's x-request-id.")]
) -> None:
    """Show one request with all its attempts."""
    detail = session.home.reports.request(request_id)
    columns = [
        Column("number", "#"),
        Column("target"),
        Column("status"),
        Column("outcome"),
        Column("error_code", "ERROR"),
        Column("error_text", "TEXT"),
        Column("cost"),
        Column("total_ms", "MS"),
    ]
    attempts = Listing("attempts", [_attempt(a) for a in detail.attempts], columns, key="number")
    row = {**_line(detail.line), "generation": detail.generation, "currency": CURRENCY}
    row["attempt_count"] = row.pop("attempts")
    session.show(Details(row, key="request_id", inner=[attempts]))


def _dimensions(by: str) -> tuple[str, ...]:
    """What to group by: known names, each once, at least one."""
    asked, hint = parts(by), f"any of {','.join(DIMENSIONS)}"
    for at, name in enumerate(asked):
        if name not in DIMENSIONS:
            raise UsageError(f"usage cannot be grouped by {name[:40]!a}", hint=hint)
        if name in asked[:at]:
            raise UsageError(f"--by names {name} twice", hint=hint)
    if not asked:
        raise UsageError("--by names nothing to group by", hint=hint)
    return asked


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _print_lines(session: Session, lines: Sequence[RequestLine], *, heading: bool) -> None:
    form = session.options.format
    rows = [_line(line) for line in lines]
    if form in (Format.JSON, Format.JSONL):
        for row in rows:
            session.show_row(row)
    elif heading or rows:
        columns = [Column(name, _TITLES.get(name, "")) for name in _LINE]
        if form is Format.TABLE:
            rows = [row if row["env"] == LIVE else {**row, "key": f"{row['key']} (test)"} for row in rows]
        session.show(Listing("requests", rows, columns, key="request_id", headless=not heading))


def _warn_of_unknown(session: Session, total: Totals) -> None:
    if total.unknown_cost_attempts and session.options.format is Format.TABLE:
        session.io.note(
            f"{total.unknown_cost_attempts} of {total.attempts} attempts have no known cost; prices: gwctl prices set"
        )


def _of_env(env: str | None) -> dict[str, tuple[str, ...]]:
    """`--env` as a filter of reports."""
    if env is None:
        return {}
    if env not in (*ENVIRONMENTS, _ALL):
        raise UsageError(f"no such environment: {env[:20]!a}", hint=f"{', '.join(ENVIRONMENTS)} or {_ALL}")
    return {"env": ENVIRONMENTS if env == _ALL else (env,)}


def _of_tests(totals: Totals) -> str:
    cost = "an unknown cost" if totals.cost_pico is None else f"{format_usd(totals.cost_pico)} {CURRENCY}"
    return f"{counted(totals.requests, 'request')} of keys for tests, {cost}"


def _sums(totals: Totals) -> dict[str, object]:
    return {
        "requests": totals.requests,
        "attempts": totals.attempts,
        "errors": totals.errors,
        "input_tokens": totals.input_tokens,
        "cached_input_tokens": totals.cached_input_tokens,
        "cache_write_tokens": totals.cache_write_tokens,
        "output_tokens": totals.output_tokens,
        "reasoning_tokens": totals.reasoning_tokens,
        "cost": amount(totals.cost_pico, at_least=totals.unknown_cost_attempts > 0),
        "charge": amount(totals.charge_pico),
        "in_doubt": amount(totals.doubt_pico),
        "unknown_cost_attempts": totals.unknown_cost_attempts,
        "basis": totals.basis,
    }


def _line(line: RequestLine) -> dict[str, object]:
    return {
        "request_id": line.request_id,
        "at": line.at,
        "customer": line.customer,
        "project": f"{line.customer}/{line.project}",
        "key": line.key,
        "env": line.env,
        "tags": line.tags,
        "alias": line.alias,
        "model": line.model,
        "target": line.target,
        "dialect": line.dialect,
        "status": line.status,
        "outcome": line.outcome,
        "error": line.error,
        "attempts": line.attempts,
        "failed_over": list(line.failed_over),
        "stream": line.stream,
        "input_tokens": line.input_tokens,
        "cached_input_tokens": line.cached_input_tokens,
        "cache_write_tokens": line.cache_write_tokens,
        "output_tokens": line.output_tokens,
        "reasoning_tokens": line.reasoning_tokens,
        "cost": amount(line.cost_pico),
        "charge": amount(line.charge_pico),
        "basis": line.basis,
        "first_content_ms": line.first_content_ms,
        "total_ms": line.total_ms,
    }


def _attempt(attempt: AttemptLine) -> Row:
    return {
        "number": attempt.number,
        "at": attempt.at,
        "target": attempt.target,
        "dialect": attempt.dialect,
        "stream": attempt.stream,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "error_code": attempt.error_code,
        "error_text": attempt.error_text,
        "provider_request_id": attempt.provider_request_id,
        "input_tokens": attempt.input_tokens,
        "cached_input_tokens": attempt.cached_input_tokens,
        "cache_write_tokens": attempt.cache_write_tokens,
        "output_tokens": attempt.output_tokens,
        "reasoning_tokens": attempt.reasoning_tokens,
        "audio_input_tokens": attempt.audio_input_tokens,
        "audio_output_tokens": attempt.audio_output_tokens,
        "images": attempt.images,
        "basis": attempt.basis,
        "price_id": attempt.price_id,
        "cost": amount(attempt.cost_pico),
        "charge": amount(attempt.charge_pico),
        "bound": amount(attempt.bound_pico),
        "first_content_ms": attempt.first_content_ms,
        "total_ms": attempt.total_ms,
    }
