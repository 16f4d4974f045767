"""`gwctl keys rotate`."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.keys import GenerationState, Key
from keyvault.domain.names import parse_duration
from opsconsole.cli.arguments import KeyName
from opsconsole.cli.commands.keys.noun import keys
from opsconsole.cli.delivery import check_deliverable, deliver
from opsconsole.cli.output import Details
from opsconsole.cli.session import Session

Grace = Annotated[str, typer.Option("--grace", metavar="SPAN", help="How long the old secret works on.")]


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


def _say_grace(session: Session, key: Key) -> None:
    old = key.generation_in(GenerationState.GRACE, session.home.clock.now())
    if old is not None:
        session.changed(f"the old secret works until {old.valid_until:%Y-%m-%d %H:%M:%S} UTC")
