"""`gwctl keys update`."""

from __future__ import annotations

from typing import Annotated

import typer

from opsconsole.cli.arguments import KeyName, Tags, something, tags
from opsconsole.cli.commands.keys.caps import NoBudget, limits_of, no_budget
from opsconsole.cli.commands.keys.noun import keys, show_key
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
from opsconsole.cli.session import Session


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
