"""`gwctl keys`: what applications call the gateway with, from creation to revocation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer

from keyvault.domain.keys import DEFAULT_PROJECT, Generation, GenerationState, Key, Policy
from keyvault.domain.names import parse_duration
from opsconsole.cli.arguments import KeyName, NewName, Tags, listed, moment, something, tags
from opsconsole.cli.completion import names_in, names_of
from opsconsole.cli.delivery import check_deliverable, deliver
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

keys = Noun(
    "keys",
    "Keys that applications call the gateway with.",
    examples="gwctl keys create ci-bot\ngwctl keys rotate ci-bot --grace 24h\ngwctl keys list",
)
app = keys.app

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
Grace = Annotated[str, typer.Option("--grace", metavar="SPAN", help="How long the old secret works on.")]

_ONLY_FOR_PROGRAMS = frozenset({"id"})


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
        deliver(session, minted.secret, _row(minted.key, now), omit=_ONLY_FOR_PROGRAMS)
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
    session.show(Listing("keys", [_row(key, now) for key in found], columns))


@keys.verb("show", examples="gwctl keys show ci-bot")
def show(session: Session, name: KeyName) -> None:
    """Show a key and its generations: who still uses the old secret, since when, until when."""
    _show(session, session.home.keys.get(name))


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
    from keyvault.keys.lifecycle import UNCHANGED

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
    _show(session, key)


@keys.verb(
    "rotate",
    changes=True,
    mints=True,
    examples="""
    gwctl keys rotate ci-bot --grace 24h
    gwctl keys rotate ci-bot --if-older-than 30d --json
    """,
)
def rotate(
    session: Session,
    name: KeyName,
    grace: Grace = "24h",
    if_older_than: Annotated[
        str | None, typer.Option("--if-older-than", metavar="SPAN", help="Change nothing if the secret is younger.")
    ] = None,
    end_grace: Annotated[bool, typer.Option("--end-grace", help="End a rotation that is still under way.")] = False,
) -> None:
    """Make a new secret; the old one works on for the grace, counted from the delivery of the new one."""
    wanted = parse_duration(grace)
    oldest = None if if_older_than is None else parse_duration(if_older_than)
    check_deliverable(session)
    service = session.home.keys
    rotation = service.rotate(name, wanted, if_older_than=oldest, end_grace=end_grace)
    previous = {"generation": rotation.previous_generation, "valid_until": rotation.previous_valid_until}
    row = {
        "changed": rotation.changed,
        "name": rotation.key.name,
        "secret": None,
        "generation": rotation.generation,
        "previous": None if rotation.previous_generation is None else previous,
        "reason": rotation.reason,
    }
    if rotation.secret is None:
        session.changed(f"key {rotation.key.name} was left as it is: {rotation.reason}")
        session.show(Details(row, omit=frozenset({"secret", "reason"})))
        return
    session.changed(f"rotated key {rotation.key.name}, now generation {rotation.generation}")
    try:
        deliver(session, rotation.secret, row, omit=frozenset({"reason", "previous"}))
    except OSError:
        service.abandon(name, rotation.generation)
        session.io.note("the new secret could not be delivered and was dropped; the old one works on")
        raise
    if not session.dry_run:
        _say_grace(session, service.acknowledge(name, rotation.generation))


@keys.verb("revoke", changes=True, examples="gwctl keys revoke ci-bot\ngwctl keys revoke ci-bot --yes --json")
def revoke(session: Session, name: KeyName) -> None:
    """End a key for good. Its next request is refused."""
    key = session.home.keys.get(name)
    session.confirm(f"revoke key {key.name} ({key.customer}/{key.project})? its next request is refused, for good")
    _changed(session, session.home.keys.revoke(name), "revoked")


@keys.verb("suspend", changes=True, examples="gwctl keys suspend ci-bot")
def suspend(session: Session, name: KeyName) -> None:
    """Refuse a key until it is resumed."""
    _changed(session, session.home.keys.suspend(name), "suspended")


@keys.verb("resume", changes=True, examples="gwctl keys resume ci-bot")
def resume(session: Session, name: KeyName) -> None:
    """Admit a suspended key again."""
    _changed(session, session.home.keys.resume(name), "resumed")


def _changed(session: Session, key: Key, what: str) -> None:
    session.changed(f"{what} key {key.name}")
    session.show(Details(_row(key, session.home.clock.now()), omit=_ONLY_FOR_PROGRAMS))


def _show(session: Session, key: Key) -> None:
    now = session.home.clock.now()
    columns = [
        Column("generation"),
        Column("state"),
        Column("masked", "SECRET"),
        Column("valid_until"),
        Column("last_used_at", "LAST USED"),
        Column("last_client", "BY"),
        Column("last_address", "FROM"),
    ]
    generations = Listing("generations", [_generation(g, now) for g in key.generations], columns, key="generation")
    session.show(Details(_row(key, now), omit=_ONLY_FOR_PROGRAMS, inner=[generations]))


def _say_grace(session: Session, key: Key) -> None:
    old = key.generation_in(GenerationState.GRACE, session.home.clock.now())
    if old is not None:
        session.changed(f"the old secret works until {old.valid_until:%Y-%m-%d %H:%M:%S} UTC")


def _row(key: Key, now: datetime) -> Row:
    current = key.generation_in(GenerationState.ACTIVE, now) or (key.generations[0] if key.generations else None)
    used = [g.last_used_at for g in key.generations if g.last_used_at is not None]
    return {
        "id": key.public_id,
        "name": key.name,
        "state": key.state_at(now).value,
        "customer": key.customer,
        "project": f"{key.customer}/{key.project}",
        "env": key.env,
        "masked": current.masked if current else None,
        "models": key.policy.models,
        "endpoints": key.policy.endpoints,
        "expose": key.policy.expose,
        "pin": key.policy.pin,
        "tags": key.tags,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": max(used, default=None),
    }


def _generation(generation: Generation, now: datetime) -> Row:
    return {
        "generation": generation.number,
        "state": generation.state_at(now).value,
        "masked": generation.masked,
        "created_at": generation.created_at,
        "activated_at": generation.activated_at,
        "valid_until": generation.valid_until,
        "last_used_at": generation.last_used_at,
        "last_client": generation.last_client,
        "last_address": generation.last_address,
    }
