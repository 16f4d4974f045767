"""`gwctl keys end-grace|extend-grace|acknowledge`: when an old secret stops working, and when a new one counts."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import GenerationState
from keyvault.domain.names import parse_duration
from keyvault.domain.typed import moment
from keyvault.errors import Conflict, UsageError
from opsconsole.cli.arguments import KeyName
from opsconsole.cli.commands.keys.noun import keys, old_secret, show_key
from opsconsole.cli.session import Session


@keys.verb("end-grace", changes=True, examples="gwctl keys end-grace ci-bot\ngwctl keys end-grace ci-bot --yes")
def end_grace(session: Session, name: KeyName) -> None:
    """Refuse the old secret from now on, before its grace is over."""
    key, now = session.home.keys.get(name), session.home.clock.now()
    if key.generation_in(GenerationState.GRACE, now):
        session.confirm(f"end the old secret of key {key.name}? {old_secret(key, now)}")
    key = session.home.rotations.end_grace(name)
    session.changed(f"the old secret of key {key.name} is refused from now on")
    show_key(session, key)


@keys.verb(
    "extend-grace",
    changes=True,
    examples="""
    gwctl keys extend-grace ci-bot --by 24h
    gwctl keys extend-grace ci-bot --until 2026-12-01
    """,
)
def extend_grace(
    session: Session,
    name: KeyName,
    by: Annotated[str | None, typer.Option("--by", metavar="SPAN", help="So much longer than now planned.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help="24h from now, or a date.")] = None,
) -> None:
    """Let the old secret work longer, for whoever has not switched; never past an end the key itself has."""
    if (by is None) == (until is None):
        raise UsageError("until when? give --by or --until", hint="--by 24h")
    now = session.unopened_home.clock.now()
    wanted = parse_duration(by) if by is not None else moment(until or "", now, past=False)
    key = session.home.rotations.extend_grace(name, wanted)
    session.changed(f"key {key.name}: {old_secret(key, now)}")
    show_key(session, key)


@keys.verb(
    "acknowledge",
    changes=True,
    examples="gwctl keys acknowledge ci-bot\ngwctl keys acknowledge ci-bot --generation 3",
)
def acknowledge(
    session: Session,
    name: KeyName,
    generation: Annotated[
        int | None, typer.Option("--generation", metavar="N", min=1, help="Which one; otherwise the pending one.")
    ] = None,
) -> None:
    """Say that a new secret reached its place: it is the key's current one, and the grace of the old one begins."""
    key, now = session.home.keys.get(name), session.home.clock.now()
    if generation is None:
        pending = key.generation_in(GenerationState.PENDING, now)
        if pending is None:
            raise Conflict(f"no generation of key {key.name} is pending", hint=f"gwctl keys show {key.name}")
        generation = pending.number
    key = session.home.keys.acknowledge(name, generation)
    session.changed(f"generation {generation} of key {key.name} is acknowledged")
    show_key(session, key)
