"""`gwctl keys adopt`."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import DEFAULT_PROJECT
from opsconsole.cli.arguments import NewName, SecretFile, SecretStdin, Tags, given_secret
from opsconsole.cli.commands.keys.creating import Create, Env, Project, new_key
from opsconsole.cli.commands.keys.noun import keys, show_key
from opsconsole.cli.commands.keys.policy import Addresses, Endpoints, Expires, Models, RotateEvery, policy_change
from opsconsole.cli.session import Session


@keys.verb(
    "adopt",
    changes=True,
    examples="""
    gwctl keys adopt mobile --secret-stdin < old.token
    gwctl keys adopt mobile --project acme/app --create --secret-file old.token
    """,
)
def adopt(
    session: Session,
    name: NewName,
    project: Project = DEFAULT_PROJECT,
    create_missing: Create = False,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
    env: Env = None,
    models: Models = None,
    endpoints: Endpoints = None,
    addresses: Addresses = None,
    expires: Expires = None,
    rotate_every: RotateEvery = None,
    tag: Tags = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if the token looks like a provider's own credential.")
    ] = False,
) -> None:
    """Take over a token of another gateway, so that nobody has to change a key on the day of the move.

    The token keeps its form and works at once. It is marked as adopted and due for rotation.
    """
    given = {"models": models, "endpoints": endpoints, "addresses": addresses, "rotate_every": rotate_every}
    change = policy_change(**given, isolation=None, expose=None, pin=None)
    new = new_key(session, name, env=env, expires=expires, tag=tag, given=given, change=change)
    secret = given_secret(
        session.io,
        prompt=f"token of {name}",
        from_stdin=secret_stdin,
        file=secret_file,
        missing="the token must come from somewhere",
    )
    key = session.home.keys.adopt(new, secret, project=project, create_missing=create_missing, force=force)
    session.changed(f"adopted key {key.name} for {key.customer}/{key.project}; due now: gwctl keys rotate {key.name}")
    show_key(session, key)
