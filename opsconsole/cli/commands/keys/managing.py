"""`gwctl keys create|list|show|update`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from keyvault.domain.keys import DEFAULT_PROJECT, Policy
from opsconsole.cli.arguments import KeyName, NewName, Tags, listed, moment, something, tags
from opsconsole.cli.commands.keys.noun import ONLY_FOR_PROGRAMS, key_row, keys, show_key
from opsconsole.cli.completion import names_in, names_of
from opsconsole.cli.delivery import check_deliverable, deliver
from opsconsole.cli.output import Column, Listing
from opsconsole.cli.session import Session

Project = Annotated[
    str,
    typer.Option(
        "--project", metavar="CUSTOMER/PROJECT", help="Whom it belongs to.", autocompletion=names_of("projects")
    ),
]
Create = Annotated[bool, typer.Option("--create", help="Create the customer and the project where they are missing.")]
Env = Annotated[
    str,
    typer.Option("--env", metavar="live|test", help="Part of the secret.", autocompletion=names_in(("live", "test"))),
]
Models = Annotated[
    str | None, typer.Option("--models", metavar="GLOB,…", help="Only these models, such as 'gpt-5*,claude-*'.")
]
Endpoints = Annotated[
    str | None, typer.Option("--endpoints", metavar="LIST", help="default, all, or dialects such as chat,embeddings.")
]
Expires = Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, or a date.")]
Expose = Annotated[bool, typer.Option("--expose", help="Answers tell target, attempts and cost.")]
Pin = Annotated[bool, typer.Option("--pin", help="May choose a target by x-gateway-pin.")]


@keys.verb(
    "create",
    changes=True,
    mints=True,
    examples="""
    gwctl keys create ci-bot
    gwctl keys create mobile --project acme/app --create --models 'gpt-5*' --expires 90d
    gwctl keys create ci-bot -o secret | gh secret set OPENAI_API_KEY
    """,
)
def create(
    session: Session,
    name: NewName,
    project: Project = DEFAULT_PROJECT,
    create_missing: Create = False,
    env: Env = "live",
    models: Models = None,
    endpoints: Endpoints = None,
    expires: Expires = None,
    tag: Tags = None,
    expose: Expose = False,
    pin: Pin = False,
) -> None:
    """Create a key. Its secret is shown this once."""
    from keyvault.keys.lifecycle import check_wanted

    now = session.unopened_home.clock.now()
    policy = Policy(
        models=listed("--models", models, otherwise="leave the option out for all models") or (),
        endpoints=listed("--endpoints", endpoints, otherwise="leave the option out for the usual ones") or ("default",),
        expose=expose,
        pin=pin,
    )
    until = None if expires is None else moment(expires, now, past=False)
    check_wanted(name, project, env, policy, until, tags(tag), now)
    check_deliverable(session)
    minted = session.home.keys.create(
        name,
        project=project,
        create_missing=create_missing,
        env=env,
        policy=policy,
        expires_at=until,
        tags=tags(tag),
    )
    session.changed(f"created key {minted.key.name} for {minted.key.customer}/{minted.key.project}")
    try:
        deliver(session, minted.secret, key_row(minted.key, now), omit=ONLY_FOR_PROGRAMS)
    except OSError:
        session.io.note(f"the secret could not be delivered; for another: gwctl keys rotate {minted.key.name}")
        raise


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
) -> None:
    """List keys, without their secrets."""
    found = session.home.keys.list(customer=customer, project=project)
    now = session.home.clock.now()
    columns = [
        Column("name"),
        Column("project"),
        Column("state"),
        Column("masked", "SECRET"),
        Column("last_used_at", "LAST USED"),
        Column("expires_at", "EXPIRES"),
    ]
    session.show(Listing("keys", [key_row(key, now) for key in found], columns))


@keys.verb("show", examples="gwctl keys show ci-bot")
def show(session: Session, name: KeyName) -> None:
    """Show a key and its generations: who still uses the old secret, since when, until when."""
    show_key(session, session.home.keys.get(name))


@keys.verb(
    "update",
    changes=True,
    examples="""
    gwctl keys update ci-bot --models 'gpt-5*,claude-*'
    gwctl keys update ci-bot --expires never
    """,
)
def update(
    session: Session,
    name: KeyName,
    models: Models = None,
    endpoints: Endpoints = None,
    expires: Annotated[str | None, typer.Option("--expires", metavar="WHEN", help="90d, a date, or never.")] = None,
    tag: Tags = None,
    expose: Annotated[bool | None, typer.Option("--expose/--no-expose", help="Answers tell target and cost.")] = None,
    pin: Annotated[bool | None, typer.Option("--pin/--no-pin", help="May choose a target.")] = None,
) -> None:
    """Change what a key may do; what is not given stays. `--models '*'` allows every model."""
    from keyvault.domain.keys import UNCHANGED

    something(models, endpoints, expires, tag, None if expose is None else True, None if pin is None else True)
    wanted_models = listed("--models", models, otherwise="leave the option out to keep them, or --models '*' for all")
    wanted_endpoints = listed("--endpoints", endpoints, otherwise="leave the option out to keep them")
    service, now = session.home.keys, session.home.clock.now()
    policy = service.get(name).policy
    if wanted_models is not None:
        policy = replace(policy, models=wanted_models)
    if wanted_endpoints is not None:
        policy = replace(policy, endpoints=wanted_endpoints)
    if expose is not None:
        policy = replace(policy, expose=expose)
    if pin is not None:
        policy = replace(policy, pin=pin)
    until = None if expires is None or expires == "never" else moment(expires, now, past=False)
    key = service.update(
        name,
        policy=policy,
        expires_at=UNCHANGED if expires is None else until,
        tags=None if tag is None else tags(tag),
    )
    session.changed(f"updated key {key.name}")
    show_key(session, key)
