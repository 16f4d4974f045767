"""`usage reprice`: what a wrong price did, and the difference booked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.names import counted
from keyvault.domain.typed import moment
from keyvault.errors import CheckFailed
from keyvault.money import CURRENCY
from opsconsole.cli.commands.usage.noun import Zone, usage
from opsconsole.cli.output import Column, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount

if TYPE_CHECKING:
    from keyvault.metering.priced_anew import Difference
    from keyvault.metering.repricing import Repriced

_COLUMNS = [
    Column("project"),
    Column("model"),
    Column("attempts"),
    Column("now_known", "NOW KNOWN"),
    Column("cost_before", "COST WAS"),
    Column("cost", "COST IS"),
    Column("charge_before", "CHARGE WAS"),
    Column("charge", "CHARGE IS"),
    Column("difference"),
]


@usage.verb(
    "reprice",
    changes=True,
    examples="""
    gwctl usage reprice --from 2026-10-01 --dry-run
    gwctl usage reprice --from 2026-10-01 --until 2026-11-01 --model 'gpt-5*' --upstream openai
    """,
)
def reprice(
    session: Session,
    from_: Annotated[str, typer.Option("--from", metavar="WHEN", help="The first attempts: a date or a time.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Up to, but without, this; now if not given.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="PATTERN", help="Only of these models.")] = None,
    upstream: Annotated[str | None, typer.Option("--upstream", metavar="PATTERN", help="Only of these.")] = None,
    tz: Zone = "UTC",
) -> None:
    """Price what was charged anew, by the price book as it is now, and book the difference.

    The ledger stays as it is: a balance gets an adjustment, a customer without one an adjustment on the next statement.
    What was booked is remembered, so that a second run books nothing again. Requests under way are left out, exit 7.
    Look first: --dry-run.
    """
    from keyvault.metering.spans import zone_of

    now, zone = session.unopened_home.clock.now(), zone_of(tz)
    start = moment(from_, now, past=True, zone=zone)
    end = None if until is None else moment(until, now, past=True, zone=zone)
    session.confirm("book the difference on balances and next statements?")
    progress = session.io.progress("pricing days anew")
    found = session.home.repricings.run(start, end, model=model, upstream=upstream, progress=progress)
    rows = [_row(each) for each in found.differences]
    session.changed(_said(found))
    session.show(Listing("differences", rows, _COLUMNS, key="project", extra=_extra(found), total=_total(found)))
    if session.options.format is Format.TABLE:
        _note(session, found)
    if found.left_out:
        what = f"{counted(found.left_out, 'request')} of the span under way, left out"
        raise CheckFailed(what, hint="run the same again when they are settled; gwctl workers list")


def _said(found: Repriced) -> str:
    if not found.differences:
        verb = "counts" if found.looked_at == 1 else "count"
        return f"nothing to book: {counted(found.looked_at, 'attempt')} {verb} for what the price book says"
    pico = _sum_pico(found)
    return f"repricing {found.number}: {Amount(abs(pico))} {CURRENCY} {'less' if pico < 0 else 'more'} is charged"


def _sum_pico(found: Repriced) -> int:
    return sum(each.charge_pico for each in found.differences)


def _note(session: Session, found: Repriced) -> None:
    for scope, pico in found.balances:
        session.io.note(f"adjustment on the balance of {scope}: {Amount(pico)} {CURRENCY}")
    for customer, pico in found.waiting:
        session.io.note(f"adjustment on the next statement of {customer}: {Amount(pico)} {CURRENCY}")
    if found.still_unknown:
        session.io.note(f"{found.still_unknown:,} of {found.looked_at:,} attempts still have no known cost")
    if found.untold:
        session.io.note(f"{found.untold:,} of work at providers left as it was: it is not on record what it was")


def _row(each: Difference) -> Row:
    return {
        "customer": each.customer,
        "project": each.project,
        "model": each.model,
        "attempts": each.attempts,
        "now_known": each.now_known,
        "cost_before": Amount(each.cost_before_pico),
        "cost": Amount(each.cost_now_pico),
        "charge_before": Amount(each.charge_before_pico),
        "charge": Amount(each.charge_now_pico),
        "difference": Amount(each.charge_pico),
    }


def _total(found: Repriced) -> Row | None:
    if not found.differences:
        return None
    every = found.differences
    return {
        "attempts": sum(each.attempts for each in every),
        "now_known": sum(each.now_known for each in every),
        "cost_before": Amount(sum(each.cost_before_pico for each in every)),
        "cost": Amount(sum(each.cost_now_pico for each in every)),
        "charge_before": Amount(sum(each.charge_before_pico for each in every)),
        "charge": Amount(sum(each.charge_now_pico for each in every)),
        "difference": Amount(_sum_pico(found)),
    }


def _extra(found: Repriced) -> Row:
    return {
        "repricing": found.number,
        "since": found.since,
        "until": found.until,
        "looked_at": found.looked_at,
        "still_unknown": found.still_unknown,
        "untold": found.untold,
        "left_out": found.left_out,
        "currency": CURRENCY,
        "balances": [{"scope": scope, "amount": Amount(pico)} for scope, pico in found.balances],
        "next_statements": [{"customer": customer, "amount": Amount(pico)} for customer, pico in found.waiting],
    }
