"""`gwctl balances`: prepaid money of customers and projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.names import counted, parse_duration
from keyvault.domain.scopes import parse_scope
from keyvault.errors import CheckFailed, UsageError
from keyvault.money import CURRENCY, parse_signed_usd, parse_usd
from opsconsole.cli.arguments import Confirm, Limit
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.scopes import PayingScope
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount, amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.balances import Entry
    from keyvault.metering.balances import Booked, Standing

balances = Noun(
    "balances",
    "Prepaid money of customers and projects.",
    examples="gwctl balances top-up customer:acme 10.50 --reason 'invoice 2026-11'\ngwctl balances list",
)
app = balances

Env = Annotated[
    str,
    typer.Option("--env", metavar="live|test", help="Whose keys spend it.", autocompletion=names_in(ENVIRONMENTS)),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays on record.")]
PaymentId = Annotated[
    str | None, typer.Option("--id", metavar="TEXT", help="What the payment is called elsewhere; it is booked once.")
]

_COLUMNS = [
    Column("scope"),
    Column("env"),
    Column("available"),
    Column("funded"),
    Column("charged"),
    Column("doubt", "IN DOUBT"),
    Column("held"),
    Column("low", absent="never"),
]
_ABSENT = {"low": "never"}
_ENTRIES = [
    Column("number", "#"),
    Column("at"),
    Column("kind"),
    Column("amount", "USD"),
    Column("actor"),
    Column("reason"),
    Column("payment", "ID"),
]
_UNIT = {"currency": CURRENCY}


@balances.verb(
    "top-up",
    changes=True,
    examples="""
    gwctl balances top-up customer:acme 10.50 --reason 'invoice 2026-11'
    gwctl balances top-up project:acme/web 25 --reason 'card payment' --id ch_3Qx81
    gwctl balances top-up customer:acme 5 --reason 'staging' --env test
    """,
)
def top_up(
    session: Session,
    scope: PayingScope,
    usd: Annotated[str, typer.Argument(metavar="USD", help="How much, such as 10.50.")],
    reason: Reason,
    payment: PaymentId = None,
    env: Env = "live",
) -> None:
    """Put prepaid money in; from the first time on, requests that it does not cover are refused.

    With `--id` the same payment told twice, as by a cron that tries again, is booked once.
    """
    wanted = parse_scope(scope)
    if usd.startswith("-"):
        hint = f"to take money out: gwctl balances adjust {wanted} {usd[:40]} --reason TEXT"
        raise UsageError("a top-up is a positive amount", hint=hint)
    booked = session.home.balances.top_up(wanted, parse_usd(usd), reason, env=env, payment=payment)
    _show_booked(session, booked, "put in")


@balances.verb(
    "adjust",
    changes=True,
    examples="""
    gwctl balances adjust customer:acme -2.00 --reason 'booked twice'
    gwctl balances adjust customer:acme 2.00 --reason 'goodwill'
    """,
)
def adjust(
    session: Session,
    scope: PayingScope,
    usd: Annotated[str, typer.Argument(metavar="±USD", help="How much, of either sign.")],
    reason: Reason,
    payment: PaymentId = None,
    env: Env = "live",
) -> None:
    """Correct a balance, up or down. Entries are never changed; a wrong one is corrected by another."""
    wanted, pico = parse_scope(scope), parse_signed_usd(usd)
    if pico < 0:
        session.confirm(f"take {Amount(-pico)} {CURRENCY} from the balance of {wanted}?")
    booked = session.home.balances.adjust(wanted, pico, reason, env=env, payment=payment)
    _show_booked(session, booked, "adjusted by")


@balances.verb(
    "release",
    changes=True,
    examples="""
    gwctl balances release customer:acme --reason 'the provider billed nothing'
    gwctl balances release customer:acme 0.25 --reason 'seen on the bill' --yes
    gwctl balances release customer:acme --older-than 7d --reason 'not on the bill' --yes
    """,
)
def release(
    session: Session,
    scope: PayingScope,
    reason: Reason,
    usd: Annotated[
        str | None, typer.Argument(metavar="USD", help="How much; all that is in doubt if not given.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="SPAN", help="Only by attempts that began so long ago, such as 7d."),
    ] = None,
    env: Env = "live",
) -> None:
    """Give back what is in doubt: what failed or lost attempts may have cost, and nobody was charged for."""
    wanted, pico = parse_scope(scope), None if usd is None else parse_usd(usd)
    span = None if older_than is None else parse_duration(older_than)
    what = "all that is in doubt" if pico is None else f"{Amount(pico)} {CURRENCY} of what is in doubt"
    since = "" if older_than is None else f" for longer than {older_than}"
    session.confirm(f"give {what}{since} back to the balance of {wanted}?")
    booked = session.home.balances.release(wanted, reason, pico, env=env, older_than=span)
    _show_booked(session, booked, "given back")


@balances.verb("update", changes=True, examples="gwctl balances update customer:acme --low 5")
def update(
    session: Session,
    scope: PayingScope,
    low: Annotated[str, typer.Option("--low", metavar="USD", help="Raise an alert below it; none: never.")],
    env: Env = "live",
) -> None:
    """Say below which amount an alert is raised."""
    standing = session.home.balances.set_low(parse_scope(scope), None if low == "none" else parse_usd(low), env=env)
    session.changed(f"updated the balance of {standing.balance.scope}")
    _show(session, standing)


@balances.verb(
    "show", examples="gwctl balances show customer:acme\ngwctl balances show customer:acme --env test --json"
)
def show(session: Session, scope: PayingScope, env: Env = "live") -> None:
    """Show what was put in, charged, is in doubt, held for requests under way, and available."""
    _show(session, session.home.balances.show(parse_scope(scope), env))


@balances.verb("history", examples="gwctl balances history customer:acme\ngwctl balances history customer:acme --json")
def history(
    session: Session,
    scope: PayingScope,
    env: Env = "live",
    limit: Limit = 100,
    before: Annotated[
        int | None, typer.Option("--before", metavar="NUMBER", min=1, help="Older than this entry: the next page.")
    ] = None,
) -> None:
    """List the entries of a balance, the newest first."""
    entries = session.home.balances.history(parse_scope(scope), env, limit=limit, before=before)
    session.show(Listing("entries", [_entry_row(entry) for entry in entries], _ENTRIES, key="number", extra=_UNIT))


@balances.verb("list", examples="gwctl balances list\ngwctl balances list --json")
def list_(session: Session) -> None:
    """List every balance."""
    found = [_row(standing) for standing in session.home.balances.list()]
    session.show(Listing("balances", found, _COLUMNS, key="scope", extra=_UNIT))


@balances.verb("verify", examples="gwctl balances verify")
def verify(session: Session) -> None:
    """Check every entry, what was taken, and the attempts on record; exit 7 where something does not hold."""
    found = session.home.balances.verify()
    columns = [Column("balance"), Column("holds"), Column("tampered"), Column("differs")]
    rows = [
        {"balance": v.name, "holds": v.tampered is None, "tampered": v.tampered, "differs": v.differs} for v in found
    ]
    session.show(Listing("balances", rows, columns, key="balance"))
    if bad := [verdict for verdict in found if verdict.tampered or verdict.differs]:
        raise CheckFailed(f"{counted(len(bad), 'balance')} of {len(found)} not as it was left", hint="gwctl doctor")


@balances.verb("reseal", changes=True, examples="gwctl balances reseal customer:acme --reason 'seen, it holds'")
def reseal(session: Session, scope: PayingScope, reason: Reason, confirm: Confirm = None, env: Env = "live") -> None:
    """Say that a balance holds as it is, after something else than gwctl had changed it and somebody has looked.

    Its entries are vouched for as they stand; as spent counts the most that is known from anywhere.
    """
    wanted = parse_scope(scope)
    session.confirm_name(f"vouch for the entries of {wanted} as they are now?", str(wanted), confirm)
    standing = session.home.balances.reseal(wanted, reason, env=env)
    session.changed(f"the balance of {standing.balance.scope} is vouched for as it is")
    _show(session, standing)


def _show_booked(session: Session, booked: Booked, done: str) -> None:
    standing, entry = booked.standing, booked.entry
    said = (
        f"{done} {Amount(entry.amount_pico)} {CURRENCY}"
        if booked.fresh
        else f"payment {entry.payment} was booked before"
    )
    left = f"{Amount(standing.available_pico)} {CURRENCY}"
    session.changed(f"{said}; available on the balance of {standing.balance.scope}: {left}")
    row = {**_row(standing), "booked": booked.fresh, "entry": _entry_row(entry)}
    session.show(Details(row, key="scope", omit=frozenset({"booked", "entry"}), absent=_ABSENT))


def _show(session: Session, standing: Standing) -> None:
    session.show(Details(_row(standing), key="scope", absent=_ABSENT))


def _row(standing: Standing) -> Row:
    balance = standing.balance
    return {
        "scope": str(balance.scope),
        "env": balance.env,
        "currency": CURRENCY,
        "funded": Amount(balance.available_pico + balance.charged_pico + balance.in_doubt_pico),
        "charged": Amount(balance.charged_pico),
        "doubt": Amount(balance.in_doubt_pico),
        "held": amount(standing.held_pico),
        "available": Amount(standing.available_pico),
        "low": amount(balance.low_pico),
        "entries": balance.entries,
        "created_at": balance.created_at,
    }


def _entry_row(entry: Entry) -> Row:
    return {
        "number": entry.number,
        "at": entry.at,
        "kind": entry.kind.value,
        "amount": Amount(entry.amount_pico),
        "actor": entry.actor,
        "reason": entry.reason,
        "payment": entry.payment,
    }
