"""`gwctl keys list|show`."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.errors import UsageError
from opsconsole.cli.arguments import KeyName
from opsconsole.cli.commands.keys.noun import key_row, keys, show_key
from opsconsole.cli.completion import names_in, names_of
from opsconsole.cli.output import Column, Listing
from opsconsole.cli.session import Session


@keys.verb("list", examples="gwctl keys list\ngwctl keys list --project acme/web -o name")
def list_(
    session: Session,
    customer: Annotated[
        str | None,
        typer.Option("--customer", metavar="NAME", help="Only its keys.", autocompletion=names_of("customers")),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            "--project", metavar="CUSTOMER/PROJECT", help="Only its keys.", autocompletion=names_of("projects")
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option("--env", metavar="live|test", help="Only these.", autocompletion=names_in(ENVIRONMENTS)),
    ] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="Those that were deleted.")] = False,
) -> None:
    """List keys, without their secrets."""
    if env is not None and env not in ENVIRONMENTS:
        raise UsageError(f"no such environment: {env[:20]!a}", hint="live or test")
    listed_keys = session.home.known_keys.list(customer=customer, project=project, deleted=deleted)
    found = [key for key in listed_keys if env in (None, key.env)]
    now = session.home.clock.now()
    columns = [
        Column("name"),
        Column("project"),
        Column("state"),
        Column("masked", "SECRET"),
        Column("last_used_at", "LAST USED"),
        Column("expires_at", "EXPIRES"),
    ]
    if any(key.rotation_due_at for key in found):
        columns.append(Column("rotation_due_at", "ROTATION DUE"))
    if any(key.suspended_by for key in found):
        columns.insert(3, Column("suspended_by", "SUSPENDED BY"))
    if deleted:
        columns[3:] = [Column("deleted_at", "DELETED"), Column("restorable_until")]
    session.show(Listing("keys", [key_row(key, now) for key in found], columns))


@keys.verb("show", examples="gwctl keys show ci-bot")
def show(session: Session, name: KeyName) -> None:
    """Show a key and its generations: who still uses the old secret, since when, until when."""
    show_key(session, session.home.known_keys.get(name))
