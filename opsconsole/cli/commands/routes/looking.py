"""Looking at routes: those that run, those of a revision, and what differs between two."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.names import not_found
from keyvault.domain.routes import Revision
from keyvault.errors import UsageError
from opsconsole.cli.arguments import Limit
from opsconsole.cli.commands.routes.noun import details, routes, row, show_changes
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Format, Listing, Row
from opsconsole.cli.session import Session

MaybeAlias = Annotated[
    str | None, typer.Argument(metavar="[ALIAS]", help="One route; else all.", autocompletion=names_of("aliases"))
]
OfRevision = Annotated[int | None, typer.Option("--revision", metavar="N", min=0, help="As they were in a revision.")]
Number = Annotated[int, typer.Argument(metavar="A", min=0, help="A revision.")]
OtherNumber = Annotated[int | None, typer.Argument(metavar="[B]", min=0, help="Another; else what runs now.")]


@routes.verb("list", examples="gwctl routes list --json")
def list_(session: Session) -> None:
    """List the aliases of the current revision and their targets."""
    _list(session, session.home.routes.current())


@routes.verb(
    "show",
    also=(Format.TOML,),
    examples="""
    gwctl routes show fast
    gwctl routes show -o toml > routes.toml
    gwctl routes show --revision 3 -o toml
    """,
)
def show(session: Session, alias: MaybeAlias = None, revision: OfRevision = None) -> None:
    """Show a route, or all of them.

    With -o toml it is the file that says them: applying it would change nothing.
    """
    service = session.home.routes
    found = service.current() if revision is None else service.revision(revision)
    chosen = [route for route in found.routes if alias in (None, route.alias)]
    if alias is not None and not chosen:
        raise not_found("route", alias, [route.alias for route in found.routes], otherwise="gwctl routes list")
    if session.options.format is Format.TOML:
        from keyvault.routing import described

        session.io.data(described.write(chosen))
    elif alias is None:
        _list(session, found)
    else:
        session.show(details(chosen[0], found))


@routes.verb("history", examples="gwctl routes history\ngwctl routes history --json -n 100")
def history(session: Session, limit: Limit = 20) -> None:
    """List the revisions, newest first: who changed the routes, when, to what."""
    rows: list[Row] = [
        {"revision": r.number, "created_at": r.created_at, "actor": r.actor, "routes": [row(x) for x in r.routes]}
        for r in session.home.routes.history(limit)
    ]
    if session.options.format is Format.TABLE:
        rows = [{**told, "routes": [route["alias"] for route in told["routes"]]} for told in rows]
    shown = [Column("revision"), Column("created_at", "WHEN"), Column("actor"), Column("routes")]
    session.show(Listing("revisions", rows, shown, key="revision"))


@routes.verb("diff", examples="gwctl routes diff 3 4\ngwctl routes diff 3")
def diff(session: Session, one: Number, other: OtherNumber = None) -> None:
    """Show what makes revision B of revision A."""
    service = session.home.routes
    other = service.current().number if other is None else other
    if one == other:
        raise UsageError(
            f"revision {one} is what runs now" if one else "nothing to compare", hint="gwctl routes history"
        )
    show_changes(session, service.diff(one, other), revision=other, of=one)


def _list(session: Session, revision: Revision) -> None:
    columns = [Column("alias"), Column("primary", "TARGETS"), Column("fallbacks")]
    rows = [row(route) for route in revision.routes]
    session.show(Listing("routes", rows, columns, key="alias", extra={"revision": revision.number}))
