"""Changing one route, and taking changes back."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.routes import parse_target
from opsconsole.cli.commands.routes.noun import Alias, added, details, note_unrouted, routes, show_changes, summary
from opsconsole.cli.output import Details
from opsconsole.cli.session import Session
from opsconsole.cli.unserved import as_it_is

Targets = Annotated[
    list[str], typer.Argument(metavar="UPSTREAM/MODEL", help="The first serves, the others are fallbacks, in order.")
]
Number = Annotated[
    int | None, typer.Argument(metavar="[N]", min=0, help="The revision to go back to; else the one before.")
]


@routes.verb(
    "set",
    changes=True,
    examples="""
    gwctl routes set fast openai/gpt-5-mini
    gwctl routes set smart anthropic/claude-sonnet-5 openai/gpt-5
    gwctl routes set 'gpt-*' 'openai/*'
    """,
)
def set_(session: Session, alias: Alias, targets: Targets) -> None:
    """Have an alias served by targets: a new revision of all routes.

    An alias may be a pattern, * being the default route; a target's model may be *: the name that was asked for.
    """
    served = as_it_is(session.home)
    revision = session.home.routes.set(alias, [parse_target(target, as_named=True) for target in targets])
    session.changed(f"set route {alias} in revision {revision.number}")
    note_unrouted(session, served, [alias])
    session.show(details(next(route for route in revision.routes if route.alias == alias), revision))


@routes.verb("delete", changes=True, examples="gwctl routes delete fast")
def delete(session: Session, alias: Alias) -> None:
    """Remove an alias: a new revision of all routes."""
    revision = session.home.routes.delete(alias)
    session.changed(f"deleted route {alias} in revision {revision.number}")
    session.show(Details({"alias": alias, "deleted": True, "revision": revision.number}, key="alias"))


@routes.verb("rollback", changes=True, examples="gwctl routes rollback\ngwctl routes rollback 3 --dry-run")
def rollback(session: Session, number: Number = None) -> None:
    """Make the routes what they were: a new revision with the content of an older one."""
    served = as_it_is(session.home)
    outcome = session.home.routes.rollback(number)
    if outcome.changes:
        session.changed(f"rolled back in revision {outcome.revision.number}: {summary(outcome.changes)}")
        note_unrouted(session, served, added(outcome.changes))
    else:
        session.changed(f"revision {outcome.revision.number} says the same")
    changed = bool(outcome.changes) and not session.dry_run
    show_changes(session, outcome.changes, revision=outcome.revision.number, changed=changed)
