"""`gwctl captures`: real requests and answers, kept whole and sealed, to replay and compare with."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from keyvault.domain.captures import (
    EVERYTHING,
    LONGEST,
    LONGEST_KEPT,
    MOST,
    Plan,
    parse_redactions,
    parse_share,
    parse_size,
    parse_span,
)
from keyvault.domain.names import exact_duration
from keyvault.domain.scopes import parse_scope
from keyvault.errors import UsageError
from opsconsole.cli.arguments import Confirm
from opsconsole.cli.files import OutFile, written
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.captures import Capture

captures = Noun(
    "captures",
    "Real requests and answers, kept whole and sealed.",
    examples="""gwctl captures start --scope key:ci-bot --sample 10% --for 24h --max 5000
gwctl captures export 1 --out requests.jsonl""",
)
app = captures

Number = Annotated[int, typer.Argument(metavar="ID", min=1, help="The capture's number, as in captures list.")]

_ABSENT: Final = {"reason": "", "ended_at": "not yet", "redact": "nothing"}


@captures.verb(
    "start",
    changes=True,
    examples="""
    gwctl captures start --scope key:ci-bot --sample 10% --for 24h --max 5000
    gwctl captures start --scope customer:acme --redact all --redact-pattern '\\bEMP-[0-9]{4,8}\\b'
    gwctl captures start --scope all --sample 0.5% --max 500 --keep 2d
    """,
)
def start(
    session: Session,
    scope: Annotated[
        str, typer.Option("--scope", metavar="SCOPE", help="key:NAME, project:CUSTOMER/PROJECT, customer:NAME or all.")
    ],
    sample: Annotated[str, typer.Option("--sample", metavar="SHARE", help="Of the requests, such as 10%.")] = "100%",
    lasts: Annotated[str, typer.Option("--for", metavar="DURATION", help="Until it ends by itself.")] = "24h",
    most: Annotated[int, typer.Option("--max", metavar="COUNT", min=1, max=MOST, help="At most so many.")] = 1000,
    size: Annotated[str, typer.Option("--max-bytes", metavar="SIZE", help="On disk, such as 500MB.")] = "1GB",
    keep: Annotated[str, typer.Option("--keep", metavar="DURATION", help="After its end, then it is deleted.")] = "7d",
    redact: Annotated[
        list[str] | None, typer.Option("--redact", metavar="WHAT", help="Take out email, phone, card, or all.")
    ] = None,
    pattern: Annotated[
        list[str] | None, typer.Option("--redact-pattern", metavar="REGEX", help="Take out what matches.")
    ] = None,
) -> None:
    """Keep requests that name a model, with their answers. Nothing is captured unless this is said.

    Each capture has a key of its own; deleting it destroys the key. Credentials are never kept.
    """
    plan = Plan(
        most=most,
        max_bytes=parse_size(size),
        keep_seconds=int(parse_span("--keep", keep, LONGEST_KEPT).total_seconds()),
        redact=parse_redactions(tuple(redact or ())),
        patterns=tuple(pattern or ()),
    )
    made = session.home.captures.start(
        None if scope == EVERYTHING else parse_scope(scope),
        sample_ppm=parse_share(sample),
        lasts=parse_span("--for", lasts, LONGEST),
        plan=plan,
    )
    session.changed(f"capturing {_share(made)} of {made.of} until {made.until:%Y-%m-%d %H:%M} UTC as {made.name}")
    if not (plan.redact or plan.patterns):
        session.io.note("nothing is taken out of what is kept; --redact all takes out e-mail, phone and card numbers")
    _show(session, made)


@captures.verb("list", examples="gwctl captures list\ngwctl captures list --json")
def list_(session: Session) -> None:
    """List captures, those that have ended too."""
    columns = [
        Column("id"),
        Column("scope"),
        Column("sample"),
        Column("state"),
        Column("taken"),
        Column("dropped"),
        Column("bytes"),
        Column("until"),
        Column("keep_until"),
    ]
    rows = [_row(session, capture) for capture in session.home.captures.list()]
    session.show(Listing("captures", rows, columns, key="id"))


@captures.verb("show", examples="gwctl captures show 1")
def show(session: Session, number: Number) -> None:
    """Show a capture: what it takes and how much there is; not what is in it."""
    _show(session, session.home.captures.show(number))


@captures.verb(
    "export",
    examples="gwctl captures export 1 --out requests.jsonl\ngwctl captures export 1 -o jsonl | head -1",
    also=(Format.JSONL,),
)
def export(session: Session, number: Number, out: OutFile = None) -> None:
    """Write what was captured on this machine, a line of JSON each, in plain text. The audit log says who did.

    `gwctl replay` and `gwctl compare` read such a file.
    """
    from opsconsole.staging.captures import line_of

    if session.options.format not in (Format.TABLE, Format.JSON, Format.JSONL):
        raise UsageError("captures export writes -o jsonl", hint=f"gwctl captures export {number} --out FILE")
    service, count, incomplete = session.home.captures, 0, 0
    found = service.export(number)
    with written(session, out) as write:
        for captured in found:
            write(line_of(captured))
            count += 1
            incomplete += not captured.replayable
    capture = service.show(number)
    session.io.note(f"{count:,} exchanges" + (f", {incomplete:,} without their body" if incomplete else ""))
    if capture.ended and count < capture.taken:
        session.io.note(f"{capture.taken - count:,} more lie with the workers on other machines that took them")


@captures.verb("stop", changes=True, examples="gwctl captures stop 1")
def stop(session: Session, number: Number) -> None:
    """End a capture now; what it has stays, until it is deleted."""
    capture = session.home.captures.stop(number)
    session.changed(f"{capture.name} takes nothing more; it is deleted on {capture.keep_until:%Y-%m-%d %H:%M} UTC")
    _show(session, capture)


@captures.verb("delete", changes=True, examples="gwctl captures delete 1 --confirm 1")
def delete(session: Session, number: Number, confirm: Confirm = None) -> None:
    """Destroy a capture and the key that opens it; copies of its files open no more."""
    capture = session.home.captures.show(number)
    session.confirm_name(f"{capture.taken:,} exchanges of {capture.of} will be destroyed", str(number), confirm)
    session.home.captures.delete(number)
    session.changed(f"deleted {capture.name}")
    session.show(Details({**_row(session, capture), "deleted": True}, key="id", absent=_ABSENT))


def _show(session: Session, capture: Capture) -> None:
    session.show(Details(_row(session, capture), key="id", absent=_ABSENT))


def _share(capture: Capture) -> str:
    return f"{(Decimal(capture.sample_ppm) / 10_000).normalize():f}%"


def _row(session: Session, capture: Capture) -> Row:
    plan, over = capture.plan, capture.over(session.home.clock.now())
    return {
        "id": capture.id,
        "scope": capture.of,
        "sample": _share(capture),
        "state": "ended" if capture.ended or over else "running",
        "reason": (capture.reason or over or None) and str(capture.reason or over),
        "taken": capture.taken,
        "dropped": capture.dropped,
        "max": plan.most,
        "bytes": capture.bytes,
        "max_bytes": plan.max_bytes,
        "redact": [*plan.redact, *plan.patterns] or None,
        "created_at": capture.created_at,
        "until": capture.until,
        "ended_at": capture.ended_at,
        "keep": exact_duration(timedelta(seconds=plan.keep_seconds)),
        "keep_until": capture.keep_until,
    }
