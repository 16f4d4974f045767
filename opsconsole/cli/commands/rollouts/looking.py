"""`gwctl rollouts list` and `status`: which there are, and how the arms of one compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.rollouts import State
from keyvault.errors import CheckFailed, NotFound
from opsconsole.cli.arguments import Limit
from opsconsole.cli.commands.rollouts.noun import (
    ARMS,
    GUARDS,
    LOOKS,
    arm_row,
    described,
    guard_row,
    last_of,
    look_row,
    rollouts,
    row,
)
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.routing.rollouts import Status

MaybeNamed = Annotated[
    str | None,
    typer.Argument(
        metavar="ALIAS|ID", help="By its alias or number; else the one that runs.", autocompletion=names_of("aliases")
    ),
]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 7 where the target was taken out.")]

_LISTED = [
    Column("id"),
    Column("alias"),
    Column("target"),
    Column("state"),
    Column("percent", "%"),
    Column("created_at", "SINCE"),
    Column("reason", absent=""),
]


@rollouts.verb("list", examples="gwctl rollouts list\ngwctl rollouts list --json -n 200")
def list_(session: Session, limit: Limit = 50) -> None:
    """List rollouts, the newest first."""
    found: list[Row] = [row(rollout) for rollout in session.home.rollouts.list(limit)]
    session.show(Listing("rollouts", found, _LISTED, key="alias"))


@rollouts.verb(
    "status",
    examples="""
    gwctl rollouts status
    gwctl rollouts status fast --json
    gwctl rollouts status fast --exit-code
    """,
)
def status(session: Session, named: MaybeNamed = None, exit_code: ExitCode = False) -> None:
    """Show both arms side by side, each guard with its margin, and what the looks said.

    The arms are those of the step. Verdicts are those of the looks, at their times: who looks oftener finds more by
    chance.
    """
    found = session.home.rollouts.status(named or _running(session))
    readable = session.options.format is Format.TABLE
    about = described(found.rollout) if readable else row(found.rollout)
    if found.next_look_at is not None or not readable:
        about = {**about, "next_look_at": found.next_look_at}
    session.show(Details(about, key="alias", inner=_listings(found, readable=readable)))
    if exit_code and found.rollout.state is State.ROLLED_BACK:
        raise CheckFailed(f"{found.rollout.target} was taken out of {found.rollout.alias}: {found.rollout.reason}")


def _listings(found: Status, *, readable: bool) -> list[Listing]:
    arms = [
        arm_row("baseline", found.baseline, readable=readable),
        arm_row(str(found.rollout.target), found.arm, readable=readable),
    ]
    guards = [guard_row(each, last_of(found.looks, found.rollout, each.guard), readable=readable) for each in found.now]
    looks = [look_row(look) for look in found.looks]
    return [
        Listing("arms", arms, ARMS, key="arm"),
        Listing("guards", guards, GUARDS, key="guard"),
        Listing("looks", looks, LOOKS, key="at"),
    ]


def _running(session: Session) -> str:
    """The one that is meant where none is named."""
    live = session.home.rollouts.live()
    if len(live) == 1:
        return str(live[0].id)
    if live:
        names = ", ".join(rollout.alias for rollout in live)
        raise NotFound(f"several rollouts run: {names}", hint=f"gwctl rollouts status {live[0].alias}")
    newest = session.home.rollouts.list(1)
    if not newest:
        raise NotFound("there was no rollout yet", hint="gwctl rollouts start ALIAS --to UPSTREAM/MODEL --percent 5")
    return str(newest[0].id)
