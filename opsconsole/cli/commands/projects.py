"""`gwctl projects`: what for."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import Project
from opsconsole.cli.arguments import Confirm, ProjectPath, Resume, Suspend, Tags, something, suspended, tags
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

projects = Noun("projects", "What for.", examples="gwctl projects create acme/web\ngwctl projects list")
app = projects

NewPath = Annotated[str, typer.Argument(metavar="CUSTOMER/PROJECT", help="Such as acme/web; the customer must exist.")]
OfCustomer = Annotated[
    str | None,
    typer.Option("--customer", metavar="NAME", help="Only this customer's.", autocompletion=names_of("customers")),
]


@projects.verb("create", changes=True, examples="gwctl projects create acme/web")
def create(session: Session, path: NewPath, tag: Tags = None) -> None:
    """Create a project of a customer."""
    project = session.home.customers.create_project(path, tags=tags(tag))
    session.changed(f"created project {project.path}")
    session.show(Details(_row(project), key="path"))


@projects.verb("list", examples="gwctl projects list --customer acme")
def list_(session: Session, customer: OfCustomer = None) -> None:
    """List all projects, or a customer's."""
    columns = [Column("path", "PROJECT"), Column("suspended"), Column("tags"), Column("created_at", "CREATED")]
    rows = [_row(project) for project in session.home.customers.list_projects(customer)]
    session.show(Listing("projects", rows, columns, key="path"))


@projects.verb("show", examples="gwctl projects show acme/web")
def show(session: Session, path: ProjectPath) -> None:
    """Show a project and its keys."""
    project = session.home.customers.get_project(path)
    keys = [{"name": key.name, "state": str(key.state)} for key in session.home.known_keys.list(project=project.path)]
    session.show(Details(_row(project), key="path", inner=[Listing("keys", keys, [Column("name"), Column("state")])]))


@projects.verb("update", changes=True, examples="gwctl projects update acme/web --suspend")
def update(
    session: Session, path: ProjectPath, tag: Tags = None, suspend: Suspend = False, resume: Resume = False
) -> None:
    """Change a project; what is not given stays. Tags given replace all tags."""
    something(tag, suspend, resume)
    project = session.home.customers.update_project(
        path, tags=None if tag is None else tags(tag), suspended=suspended(suspend, resume)
    )
    session.changed(f"updated project {project.path}")
    session.show(Details(_row(project), key="path"))


@projects.verb("delete", changes=True, examples="gwctl projects delete acme/web --confirm acme/web")
def delete(session: Session, path: ProjectPath, confirm: Confirm = None) -> None:
    """Hide a project for good. It must have no key and no money left; reports keep what it used, under its name."""
    project = session.home.customers.get_project(path)
    session.confirm_name(f"delete project {project.path}? this cannot be undone", project.path, confirm)
    project = session.home.customers.delete_project(path)
    session.changed(f"deleted project {project.path}")
    session.show(Details(_row(project), key="path"))


def _row(project: Project) -> Row:
    return {
        "path": project.path,
        "customer": project.customer,
        "name": project.name,
        "suspended": project.suspended,
        "tags": project.tags,
        "created_at": project.created_at,
    }
