"""`gwctl routes`: which targets serve which model name."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.routes import Revision, parse_target
from keyvault.errors import NotFound
from opsconsole.cli.arguments import Limit
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

routes = Noun(
    "routes",
    "Which targets serve which model name. Without routes, one upstream serves every model as it is.",
    examples="gwctl routes set fast openai/gpt-5-mini groq/llama-3.3-70b\ngwctl routes list",
)
app = routes.app

Alias = Annotated[
    str, typer.Argument(metavar="ALIAS", help="The model name clients ask for.", autocompletion=names_of("aliases"))
]
Targets = Annotated[
    list[str], typer.Argument(metavar="UPSTREAM/MODEL", help="The first serves, the others are fallbacks, in order.")
]


@routes.verb(
    "set",
    changes=True,
    examples="""
    gwctl routes set fast openai/gpt-5-mini
    gwctl routes set smart anthropic/claude-sonnet-5 openai/gpt-5
    """,
)
def set_(session: Session, alias: Alias, targets: Targets) -> None:
    """Have an alias served by targets: a new revision of all routes."""
    revision = session.home.routes.set(alias, tuple(map(parse_target, targets)))
    session.changed(f"set route {alias} in revision {revision.number}")
    _show(session, revision, alias)


@routes.verb("list", examples="gwctl routes list --json")
def list_(session: Session) -> None:
    """List the aliases of the current revision and their targets."""
    revision = session.home.routes.current()
    columns = [Column("alias"), Column("targets")]
    session.show(Listing("routes", _rows(revision), columns, key="alias", extra={"revision": revision.number}))


@routes.verb("show", examples="gwctl routes show fast")
def show(session: Session, alias: Alias) -> None:
    """Show an alias and its targets."""
    _show(session, session.home.routes.current(), alias)


@routes.verb("delete", changes=True, examples="gwctl routes delete fast")
def delete(session: Session, alias: Alias) -> None:
    """Remove an alias: a new revision of all routes."""
    revision = session.home.routes.delete(alias)
    session.changed(f"deleted route {alias} in revision {revision.number}")
    session.show(Details({"alias": alias, "deleted": True, "revision": revision.number}, key="alias"))


@routes.verb("history", examples="gwctl routes history\ngwctl routes history --json -n 100")
def history(
    session: Session,
    limit: Limit = 20,
) -> None:
    """List the revisions, newest first: who changed the routes, when, to what."""
    rows: list[Row] = [
        {"revision": r.number, "created_at": r.created_at, "actor": r.actor, "routes": _rows(r)}
        for r in session.home.routes.history(limit)
    ]
    shown = [Column("revision"), Column("created_at", "WHEN"), Column("actor"), Column("routes")]
    session.show(Listing("revisions", rows, shown, key="revision"))


def _show(session: Session, revision: Revision, alias: str) -> None:
    for row in _rows(revision):
        if row["alias"] == alias:
            session.show(Details({**row, "revision": revision.number}, key="alias"))
            return
    raise NotFound(f"no route for {alias[:70]!a}", hint="gwctl routes list")


def _rows(revision: Revision) -> list[Row]:
    return [{"alias": route.alias, "targets": [str(target) for target in route.targets]} for route in revision.routes]
