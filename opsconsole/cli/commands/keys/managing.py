"""`gwctl keys list|show|update`."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import ENVIRONMENTS
from keyvault.errors import UsageError
from opsconsole.cli.arguments import KeyName, Tags, something, tags
from opsconsole.cli.commands.keys.caps import NoBudget, limits_of, no_budget
from opsconsole.cli.commands.keys.noun import key_row, keys, show_key
from opsconsole.cli.commands.keys.policy import (
    Abort,
    Addresses,
    Attribute,
    Bound,
    Clamp,
    Endpoints,
    Expires,
    Isolation,
    Models,
    RotateEvery,
    expiry,
    policy_change,
)
from opsconsole.cli.commands.limits import Parallel, Rpm, Tpm
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
    listed_keys = session.home.keys.list(customer=customer, project=project, deleted=deleted)
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
    show_key(session, session.home.keys.get(name))


@keys.verb(
    "update",
    changes=True,
    examples="""
    gwctl keys update ci-bot --models 'gpt-5*,claude-*'
    gwctl keys update ci-bot --addresses 10.0.0.0/8,2001:db8::/32
    gwctl keys update ci-bot --expires never --addresses any
    """,
)
def update(
    session: Session,
    name: KeyName,
    models: Models = None,
    endpoints: Endpoints = None,
    addresses: Addresses = None,
    expires: Expires = None,
    rotate_every: RotateEvery = None,
    isolation: Isolation = None,
    attribute: Attribute = None,
    clamp: Clamp = None,
    bound: Bound = None,
    abort: Abort = None,
    tag: Tags = None,
    expose: Annotated[bool | None, typer.Option("--expose/--no-expose", help="Answers tell target and cost.")] = None,
    pin: Annotated[bool | None, typer.Option("--pin/--no-pin", help="May choose a target.")] = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
    budget: NoBudget = None,
) -> None:
    """Change what a key may do; what is not given stays.

    `--models '*'`, `--addresses any`, `--expires never`, `--rotate-every never` and `--rpm none` take a restriction
    away.
    """
    no_budget(name, budget)
    flags = (None if flag is None else True for flag in (expose, pin))
    something(
        *(models, endpoints, addresses, expires, rotate_every, isolation, attribute),
        *(clamp, bound, abort, tag, rpm, tpm, parallel, *flags),
    )
    change = policy_change(
        models=models,
        endpoints=endpoints,
        addresses=addresses,
        rotate_every=rotate_every,
        isolation=isolation,
        expose=expose,
        pin=pin,
        attribute=attribute,
        clamp=clamp,
        bound=bound,
        abort=abort,
    )
    key = session.home.keys.update(
        name,
        policy=change,
        expires_at=expiry(expires, session.home.clock.now()),
        tags=None if tag is None else tags(tag),
        rules=limits_of(session, rpm, tpm, parallel),
    )
    session.changed(f"updated key {key.name}")
    show_key(session, key)
