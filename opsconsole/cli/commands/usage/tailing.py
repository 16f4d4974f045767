"""Single requests: the newest as they end, and one with all its attempts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.reports import LIVE, AttemptLine, RequestLine
from keyvault.money import CURRENCY
from opsconsole.cli.arguments import Limit, tags
from opsconsole.cli.commands.usage.noun import ALL, TITLES, of_env, usage
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import amount

_FOLLOW_SECONDS: Final = 0.5
_LINE: Final = (
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
    "tail",
    examples="""
    gwctl usage tail
    gwctl usage tail --follow --json
    gwctl usage tail --tag feature=search --env live
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
    env: Annotated[
        str | None,
        typer.Option(
            "--env", metavar="live|test|all", help="Whose keys; all.", autocompletion=names_in((*ENVIRONMENTS, ALL))
        ),
    ] = None,
) -> None:
    """Show the newest requests, oldest first. With --json one object per line."""
    envs = of_env(env).get("env", ENVIRONMENTS)
    newest = session.home.reports.follow(count, tags(tag), envs[0] if len(envs) == 1 else None)
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
    if (drawn := session.home.rollouts.drawn(request_id)) is not None:
        row |= {"rollout": drawn.rollout.id, "arm": str(drawn.rollout.target) if drawn.new else "baseline"}
    session.show(Details(row, key="request_id", inner=[attempts]))


def _print_lines(session: Session, lines: Sequence[RequestLine], *, heading: bool) -> None:
    form = session.options.format
    rows = [_line(line) for line in lines]
    if form in (Format.JSON, Format.JSONL):
        for row in rows:
            session.show_row(row)
    elif heading or rows:
        columns = [Column(name, TITLES.get(name, "")) for name in _LINE]
        if form is Format.TABLE:
            rows = [row if row["env"] == LIVE else {**row, "key": f"{row['key']} (test)"} for row in rows]
        session.show(Listing("requests", rows, columns, key="request_id", headless=not heading))


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
