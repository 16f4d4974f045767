"""`gwctl statements`: months that are closed, and credit notes. To look at them the vault need not be unlocked."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.clock import from_ms
from keyvault.domain.names import counted
from keyvault.domain.scopes import ScopeKind, parse_scope
from keyvault.domain.statements import CREDIT_NOTE, CreditNote, Document, decimal, parse_cents
from keyvault.errors import CheckFailed, GatewayError, UsageError
from keyvault.money import CURRENCY, parse_signed_usd
from opsconsole.cli.files import OutFile, form_of, written
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.scopes import AnyCustomerScope, CustomerScope
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.metering.statements import Listed, Shown

statements = Noun(
    "statements",
    "Closed months of customers, and credit notes.",
    examples="gwctl statements create customer:acme --month 2026-10 --tz Europe/Berlin\ngwctl statements list",
)
app = statements

Month = Annotated[str, typer.Option("--month", metavar="YYYY-MM", help="The month, in the time zone.")]
Zone = Annotated[
    str | None,
    typer.Option("--tz", metavar="ZONE", help="Such as Europe/Berlin; as on the customer's last statement, or UTC."),
]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Such as 2026-0001.")]
_DOCUMENTS = (Format.MD, Format.HTML)
_COLUMNS = [
    Column("number"),
    Column("kind"),
    Column("customer"),
    Column("month"),
    Column("amount", "USD"),
    Column("credited"),
    Column("credits", "FOR"),
    Column("issued_at", "ISSUED"),
]


@statements.verb(
    "create",
    changes=True,
    also=_DOCUMENTS,
    examples="""
    gwctl statements create customer:acme --month 2026-10 --tz Europe/Berlin
    gwctl statements create customer:acme --month 2026-11 --draft
    gwctl statements create --all --month 2026-10
    """,
)
def create(
    session: Session,
    month: Month,
    scope: AnyCustomerScope = None,
    every: Annotated[bool, typer.Option("--all", help="Every customer with something to say, not closed yet.")] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Show it as it is now, without number, frozen nowhere.")
    ] = False,
    tz: Zone = None,
) -> None:
    """Close a customer's month: number its statement, and freeze what it says. It is never edited after.

    The month must be over in its time zone, and everything that began in it settled.
    """
    if every is (scope is not None) or (every and draft):
        hint = "gwctl statements create customer:NAME --month 2026-10, or --all; --draft is of one customer"
        raise UsageError("name one customer, or --all", hint=hint)
    wanted = None if scope is None else parse_scope(scope)
    service = session.home.statements
    if wanted is not None and not draft:
        service.check(wanted, month, tz)
    if not draft:
        session.confirm(f"close {month} of {wanted or 'every customer'}? what is frozen is never edited")
    if wanted is None:
        from keyvault.metering.statements import Listed

        made = service.create_all(month, tz)
        session.changed(f"closed {month} of {counted(len(made), 'customer')}")
        session.show(_listing([_listed(Listed.issued(statement)) for statement in made]))
        return
    statement = service.draft(wanted, month, tz) if draft else service.create(wanted, month, tz)
    if not draft:
        session.changed(f"closed {month} of {statement.customer}: {statement.number}")
    _print(session, statement)


@statements.verb(
    "credit",
    changes=True,
    also=_DOCUMENTS,
    examples="""
    gwctl statements credit 2026-0001 2.50 --reason 'booked twice'
    gwctl statements credit 2026-0001 2.50 --reason 'goodwill' --to-balance --yes
    """,
)
def credit(
    session: Session,
    number: Number,
    usd: Annotated[str, typer.Argument(metavar="USD", help="How much, in whole cents, such as 2.50.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays on record.")],
    to_balance: Annotated[bool, typer.Option("--to-balance", help="Put it on the customer's balance.")] = False,
) -> None:
    """Give back some of what a statement charged, by a numbered credit note. The statement stays as it is."""
    cents = parse_cents(usd)
    session.home.statements.show(number)
    where = " on its balance" if to_balance else ""
    session.confirm(f"credit {decimal(cents)} {CURRENCY} of {number}{where}?")
    note = session.home.statements.credit(number, cents, reason, to_balance=to_balance)
    session.changed(f"credited {decimal(cents)} {CURRENCY} of {note.credits}: {note.number}")
    _print(session, note)


@statements.verb(
    "adjust",
    changes=True,
    examples="""
    gwctl statements adjust customer:acme 12.00 --reason 'set-up, as agreed' --yes
    gwctl statements adjust customer:acme -2.50 --reason 'outage in October' --yes
    """,
)
def adjust(
    session: Session,
    scope: CustomerScope,
    usd: Annotated[str, typer.Argument(metavar="±USD", help="How much, of either sign.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands on the statement.")],
) -> None:
    """Charge a customer more, or less, on its next statement. One that pays in advance: gwctl balances adjust."""
    wanted, pico = parse_scope(scope), parse_signed_usd(usd)
    if wanted.kind is ScopeKind.CUSTOMER:
        session.home.customers.get(wanted.name)
    session.confirm(f"put {Amount(pico)} {CURRENCY} on the next statement of {wanted}?")
    session.home.statements.adjust(wanted, pico, reason)
    session.changed(f"{Amount(pico)} {CURRENCY} will stand on the next statement of {wanted}")
    session.show(Details({"scope": str(wanted), "amount": Amount(pico), "currency": CURRENCY}, key="scope"))


@statements.verb(
    "list",
    examples="""
    gwctl statements list
    gwctl statements list customer:acme -o csv
    gwctl statements list --month 2026-10 --json
    """,
)
def list_(
    session: Session,
    scope: AnyCustomerScope = None,
    month: Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="Only of this month.")] = None,
) -> None:
    """List statements and credit notes; exit 7 where one is not what was issued."""
    wanted = None if scope is None else parse_scope(scope)
    _open_unasked(session)
    rows = [_listed(each) for each in session.home.statements.list(wanted, month)]
    session.show(_listing(rows))
    if changed := [row["number"] for row in rows if row["changed"]]:
        what = f"{counted(len(changed), 'document')} changed by something else than gwctl: {changed[0]}"
        raise CheckFailed(what, hint="gwctl doctor, then restore a backup")


@statements.verb(
    "show", also=_DOCUMENTS, examples="gwctl statements show 2026-0001\ngwctl statements show 2026-0001 --json"
)
def show(session: Session, number: Number) -> None:
    """Show a statement or credit note as it was issued. One that something else has changed is not shown."""
    _show(session, number)


@statements.verb(
    "export",
    also=_DOCUMENTS,
    examples="""
    gwctl statements export 2026-0001 --out 2026-0001.html
    gwctl statements export 2026-0001 -o csv
    """,
)
def export(session: Session, number: Number, out: OutFile = None) -> None:
    """Write a statement or credit note as a document, or as a file for programs and spreadsheets.

    With --out the file's name decides the form where -o does not.
    """
    text = _text(form_of(session, out), _found(session, number))
    with written(session, out) as write:
        write(text)


@statements.verb("verify", examples="gwctl statements verify")
def verify(session: Session) -> None:
    """Check every statement and credit note, and that no number is missing; exit 7 where something does not hold."""
    _open_unasked(session)
    wrong = session.home.statements.verify()
    count = len(session.home.statements.list())
    told = {"documents": count, "holds": not wrong, "wrong": wrong, "seals": _vouched_by(session)}
    session.show(Details(told, key="documents"))
    if wrong:
        raise CheckFailed(f"{counted(len(wrong), 'thing')} not as issued: {wrong[0]}", hint="gwctl doctor")


def _show(session: Session, number: str) -> None:
    session.io.data(_text(session.options.format, _found(session, number)))


def _found(session: Session, number: str) -> Shown:
    _open_unasked(session)
    return session.home.statements.show(number)


def _open_unasked(session: Session) -> None:
    """Open the vault where nobody has to be asked for that; what it cannot tell is said to be unverified."""
    vault = session.home.vault
    vault.prompt = None
    with contextlib.suppress(GatewayError):
        vault.trust()


def _vouched_by(session: Session) -> str:
    from keyvault.metering.issued import Vouched

    return (Vouched.LOCKED if session.home.vault.opened is None else Vouched.SEALED).value


def _text(form: Format, found: Shown) -> str:
    return _in_form(form, found.document, found.credit_notes, found.vouched.value)


def _print(session: Session, document: Document) -> None:
    """What was made, or would be: then people see it without the number, which a copy could pass off as given."""
    form = session.options.format
    if not session.dry_run:
        session.io.data(_in_form(form, document))
    elif form in (Format.JSON, Format.JSONL, Format.CSV, Format.NAME):
        session.io.data(_in_form(form, document, rehearsed=True))
    else:
        session.io.data(_in_form(form, replace(document, number=None)))


def _in_form(
    form: Format,
    document: Document,
    credit_notes: Sequence[CreditNote] = (),
    vouched: str = "",
    *,
    rehearsed: bool = False,
) -> str:
    from opsconsole.view import paper
    from opsconsole.view.statement import forms
    from opsconsole.view.statement.paper import paper as paper_of

    if form is Format.NAME:
        return f"{document.number or 'draft'}\n"
    if form is Format.CSV:
        return forms.as_csv(document)
    if form in (Format.JSON, Format.JSONL):
        told = forms.document(document, credit_notes, vouched)
        return forms.as_json({**told, **({"dry_run": True} if rehearsed else {})})
    page = paper_of(document, credit_notes, vouched)
    return {Format.MD: paper.as_markdown, Format.HTML: paper.as_html}.get(form, paper.as_text)(page)


def _listing(rows: list[Row]) -> Listing:
    columns = [*_COLUMNS, *([Column("changed")] if any(row["changed"] for row in rows) else [])]
    return Listing("statements", rows, columns, key="number", extra={"currency": CURRENCY})


def _listed(each: Listed) -> Row:
    return {
        "number": each.number,
        "kind": each.kind,
        "customer": each.customer,
        "month": each.month,
        "tz": each.zone,
        "amount": decimal(-each.cents if each.kind == CREDIT_NOTE else each.cents),
        "credited": decimal(each.credited_cents) if each.credited_cents else None,
        "credits": each.credits,
        "issued_at": from_ms(each.issued_ms),
        "changed": each.changed,
    }
