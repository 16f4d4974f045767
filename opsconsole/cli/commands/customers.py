"""`gwctl customers`: who pays."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import PPM, Customer
from keyvault.domain.typed import number
from keyvault.errors import UsageError
from keyvault.money import format_usd
from opsconsole.cli.arguments import Confirm, CustomerName, NewName, Resume, Suspend, Tags, something, suspended, tags
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

customers = Noun("customers", "Who pays.", examples="gwctl customers create acme\ngwctl customers list")
app = customers

Multiplier = Annotated[
    str | None, typer.Option("--multiplier", metavar="FACTOR", help="Charge = cost × this, such as 1.15.")
]


Never = Annotated[bool, typer.Option("--never-capture", help="Keep its requests out of every capture.")]
May = Annotated[bool, typer.Option("--may-capture", help="Captures may take its requests again.")]


@customers.verb(
    "create",
    changes=True,
    examples="gwctl customers create acme --multiplier 1.15\ngwctl customers create hospital --never-capture",
)
def create(
    session: Session, name: NewName, multiplier: Multiplier = None, tag: Tags = None, never_capture: Never = False
) -> None:
    """Create a customer."""
    factor = number(multiplier or "1")
    customer = session.home.customers.create(name, multiplier=factor, tags=tags(tag), never_capture=never_capture)
    session.changed(f"created customer {customer.name}")
    _warn_of_nothing(session, customer)
    session.show(Details(_row(customer)))


@customers.verb("list", examples="gwctl customers list --json")
def list_(session: Session) -> None:
    """List all customers."""
    columns = [
        Column("name"),
        Column("multiplier"),
        Column("suspended"),
        Column("tags"),
        Column("created_at", "CREATED"),
    ]
    session.show(Listing("customers", [_row(c) for c in session.home.customers.list()], columns))


@customers.verb("show", examples="gwctl customers show acme")
def show(session: Session, name: CustomerName) -> None:
    """Show a customer and its projects."""
    customer = session.home.customers.get(name)
    projects = [{"name": p.path} for p in session.home.customers.list_projects(customer.name)]
    session.show(Details(_row(customer), inner=[Listing("projects", projects, [Column("name")])]))


@customers.verb(
    "update",
    changes=True,
    examples="""
    gwctl customers update acme --multiplier 1.2
    gwctl customers update acme --suspend
    gwctl customers update acme --never-capture
    """,
)
def update(
    session: Session,
    name: CustomerName,
    multiplier: Multiplier = None,
    tag: Tags = None,
    suspend: Suspend = False,
    resume: Resume = False,
    never_capture: Never = False,
    may_capture: May = False,
) -> None:
    """Change a customer; what is not given stays. Tags given replace all tags."""
    something(multiplier, tag, suspend, resume, never_capture, may_capture)
    if never_capture and may_capture:
        raise UsageError("--never-capture and --may-capture ask for opposite things", hint="give one of them")
    customer = session.home.customers.update(
        name,
        multiplier=None if multiplier is None else number(multiplier),
        tags=None if tag is None else tags(tag),
        suspended=suspended(suspend, resume),
        never_capture=never_capture if never_capture or may_capture else None,
    )
    session.changed(f"updated customer {customer.name}")
    if multiplier is not None:
        _warn_of_nothing(session, customer)
    session.show(Details(_row(customer)))


@customers.verb("delete", changes=True, examples="gwctl customers delete acme --confirm acme")
def delete(session: Session, name: CustomerName, confirm: Confirm = None) -> None:
    """Hide a customer and its projects for good. There must be no key and no money left below it.

    Reports keep what it used, under its name. Make its last statement first: afterwards there is none to be had.
    """
    customer = session.home.customers.get(name)
    session.confirm_name(f"delete customer {customer.name}? this cannot be undone", customer.name, confirm)
    customer = session.home.customers.delete(name)
    session.changed(f"deleted customer {customer.name}")
    session.show(Details(_row(customer)))


def _warn_of_nothing(session: Session, customer: Customer) -> None:
    if customer.multiplier_ppm == 0:
        session.io.note(f"{customer.name} is charged nothing: its budgets and balances will never be used up")


def _row(customer: Customer) -> Row:
    return {
        "name": customer.name,
        "suspended": customer.suspended,
        "multiplier": format_usd(customer.multiplier_ppm * PPM),
        "never_capture": customer.never_capture,
        "tags": customer.tags,
        "created_at": customer.created_at,
    }
