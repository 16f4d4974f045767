"""`gwctl objects`: who owns what is stored at providers."""

from __future__ import annotations

from typing import Annotated

import typer

from opsconsole.cli.arguments import Limit
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

objects = Noun(
    "objects",
    "Who owns what is stored at providers: files, batches, responses and the like.",
    examples="gwctl objects list --project acme/web\ngwctl objects assign openai/file-abc123 acme/web",
)
app = objects

Name = Annotated[str, typer.Argument(metavar="UPSTREAM/ID", help="Such as openai/file-abc123.")]
Project = Annotated[
    str, typer.Argument(metavar="CUSTOMER/PROJECT", help="Who shall own it.", autocompletion=names_of("projects"))
]
OfProject = Annotated[
    str | None,
    typer.Option(
        "--project", metavar="CUSTOMER/PROJECT", help="Only this project's.", autocompletion=names_of("projects")
    ),
]
Kind = Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Such as file, batch or response.")]
Pending = Annotated[bool, typer.Option("--pending", help="Only work that is still to be paid for.")]


@objects.verb("list", examples="gwctl objects list\ngwctl objects list --pending -o json")
def list_(
    session: Session, project: OfProject = None, kind: Kind = None, pending: Pending = False, limit: Limit = 100
) -> None:
    """List objects on record, the newest first."""
    from keyvault.clock import from_ms

    found = session.home.objects.list(project=project, kind=kind, pending=pending, limit=limit)
    rows: list[Row] = [
        {
            "name": f"{each.object.upstream}/{each.object.object_id}",
            "kind": each.object.kind,
            "project": each.project,
            "key": each.key or None,
            "state": str(each.object.state),
            "model": each.object.model,
            "created_at": from_ms(each.object.created_ms),
        }
        for each in found
    ]
    columns = [
        Column("name", "OBJECT"),
        Column("kind"),
        Column("project"),
        Column("key"),
        Column("state"),
        Column("created_at", "CREATED"),
    ]
    session.show(Listing("objects", rows, columns))


@objects.verb("assign", changes=True, examples="gwctl objects assign openai/file-abc123 acme/web")
def assign(session: Session, name: Name, project: Project, kind: Kind = None) -> None:
    """Give an object to a project, whoever had it: its keys can reach it from then on."""
    found = session.home.objects.assign(name, project, kind=kind)
    session.changed(f"{found.kind} {found.upstream}/{found.object_id} belongs to {project}")
    session.show(Details({"name": f"{found.upstream}/{found.object_id}", "kind": found.kind, "project": project}))


@objects.verb("forget", changes=True, examples="gwctl objects forget openai/file-abc123")
def forget(session: Session, name: Name) -> None:
    """Take an object off the record: it belongs to nobody, and stays at the provider."""
    session.home.objects.forget(name)
    session.changed(f"{name} belongs to nobody")
