"""`gwctl keys create`, and what a new key is where the options say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.keys import DEFAULT_PROJECT, ENVIRONMENTS, PolicyChange, Unchanged
from opsconsole.cli.arguments import NewName, Tags, tags
from opsconsole.cli.commands.keys.caps import Budget, SoftBudget, budgets_of, limits_of
from opsconsole.cli.commands.keys.noun import key_row, keys, shown_to_programs
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
from opsconsole.cli.delivery import check_deliverable, deliver
from opsconsole.cli.output import Format
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.keys.lifecycle import KeyRule
    from keyvault.keys.making import NewKey

Project = Annotated[
    str,
    typer.Option(
        "--project", metavar="CUSTOMER/PROJECT", help="Whom it belongs to.", autocompletion=names_of("projects")
    ),
]
Create = Annotated[bool, typer.Option("--create", help="Create the customer and the project where they are missing.")]
Env = Annotated[
    str | None,
    typer.Option("--env", metavar="live|test", help="Part of the secret.", autocompletion=names_in(ENVIRONMENTS)),
]
Expose = Annotated[bool, typer.Option("--expose", help="Answers tell target, attempts and cost.")]
Pin = Annotated[bool, typer.Option("--pin", help="May choose a target by x-gateway-pin.")]


@keys.verb(
    "create",
    changes=True,
    also=(Format.SECRET,),
    examples="""
    gwctl keys create ci-bot
    gwctl keys create mobile --project acme/app --create --models 'gpt-5*' --expires 90d
    gwctl keys create intern --budget 10usd/month --soft-budget 1usd/day --rpm 60 --tpm 100k
    gwctl keys create ci-bot -o secret | gh secret set OPENAI_API_KEY
    """,
)
def create(
    session: Session,
    name: NewName,
    project: Project = DEFAULT_PROJECT,
    create_missing: Create = False,
    env: Env = None,
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
    expose: Expose = False,
    pin: Pin = False,
    budget: Budget = None,
    soft_budget: SoftBudget = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    parallel: Parallel = None,
) -> None:
    """Create a key. Its secret is shown this once.

    What is left out is as the settings of the table [keys] say.
    """
    given = {"models": models, "endpoints": endpoints, "addresses": addresses, "rotate_every": rotate_every}
    change = policy_change(
        **given,
        isolation=isolation,
        expose=expose,
        pin=pin,
        attribute=attribute,
        clamp=clamp,
        bound=bound,
        abort=abort,
    )
    new = new_key(session, name, env=env, expires=expires, tag=tag, given=given, change=change)
    rules = [*budgets_of(session, budget, soft_budget), *limits_of(session, rpm, tpm, parallel)]
    _make(session, new, project, rules, create_missing=create_missing)


def _make(session: Session, new: NewKey, project: str, rules: Sequence[KeyRule], *, create_missing: bool) -> None:
    """Mint it and hand its secret over, once it is sure that somebody can take it."""
    from keyvault.keys.lifecycle import check_wanted

    now = session.unopened_home.clock.now()
    check_wanted(new.name, project, new.env, new.policy, new.expires_at, new.tags, now)
    check_deliverable(session)
    minted = session.home.keys.create(
        new.name,
        project=project,
        create_missing=create_missing,
        env=new.env,
        policy=new.policy,
        expires_at=new.expires_at,
        tags=new.tags,
        rules=rules,
    )
    session.changed(f"created key {minted.key.name} for {minted.key.customer}/{minted.key.project}")
    try:
        row = key_row(minted.key, now)
        deliver(session, minted.secret, row, omit=shown_to_programs(row))
    except OSError:
        session.io.note(f"the secret could not be delivered; for another: gwctl keys rotate {minted.key.name}")
        raise


def new_key(
    session: Session,
    name: str,
    *,
    env: str | None,
    expires: str | None,
    tag: list[str] | None,
    given: Mapping[str, str | None],
    change: PolicyChange,
) -> NewKey:
    """A key as the options say, and the settings where they say nothing; tells a person which settings counted."""
    from keyvault.keys.defaults import defaults
    from keyvault.keys.making import NewKey

    usual, now = defaults(session.unopened_home.settings), session.unopened_home.clock.now()
    asked = {name for name, text in {**given, "env": env, "expires": expires}.items() if text is not None}
    if counted := [f"{name} {value}" for name, value in usual.set_here.items() if name not in asked]:
        session.io.note(f"from the settings: {', '.join(counted)}")
    until = expiry(expires, now)
    return NewKey(
        name=name,
        env=env or usual.env,
        policy=change.applied(usual.policy),
        expires_at=usual.expires_at(now) if isinstance(until, Unchanged) else until,
        tags=tags(tag),
    )
