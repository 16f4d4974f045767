"""`gwctl rollouts advance`, `pause`, `resume`, `rollback`, `finish`."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.rollouts import Rollout
from opsconsole.cli.commands.rollouts.noun import Named, described, rollouts, row
from opsconsole.cli.output import Details, Format
from opsconsole.cli.session import Session

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stays on record.")]
Now = Annotated[bool, typer.Option("--now", help="Before the last step.")]
Keep = Annotated[bool, typer.Option("--keep-old", help="What it replaces are its fallbacks.")]


@rollouts.verb("advance", changes=True, examples="gwctl rollouts advance fast")
def advance(session: Session, named: Named) -> None:
    """Begin the next step now, whatever the guards have seen so far."""
    rollout = session.home.rollouts.advance(named)
    session.changed(f"{rollout.target} takes {rollout.share_ppm / 10_000:g} % of {rollout.alias}")
    _show(session, rollout)


@rollouts.verb("pause", changes=True, examples="gwctl rollouts pause fast")
def pause(session: Session, named: Named) -> None:
    """Send no new requests to the new target; conversations whose state it keeps go on there."""
    rollout = session.home.rollouts.pause(named)
    session.changed(f"{rollout.target} takes nothing new of {rollout.alias}")
    _show(session, rollout)


@rollouts.verb("resume", changes=True, examples="gwctl rollouts resume fast")
def resume(session: Session, named: Named) -> None:
    """Go on after a pause, with the step from its beginning."""
    rollout = session.home.rollouts.resume(named)
    session.changed(f"{rollout.target} takes {rollout.share_ppm / 10_000:g} % of {rollout.alias}")
    _show(session, rollout)


@rollouts.verb(
    "rollback", changes=True, examples="gwctl rollouts rollback fast\ngwctl rollouts rollback fast --reason 'too terse'"
)
def rollback(session: Session, named: Named, reason: Reason = "") -> None:
    """Take the new target out at once; the routes stay as they are. Works while the vault is locked."""
    rollout = session.home.rollouts.rollback(named, reason)
    session.changed(f"{rollout.target} is out of {rollout.alias}, which is served as its route says")
    _show(session, rollout)


@rollouts.verb(
    "finish",
    changes=True,
    examples="""
    gwctl rollouts finish fast
    gwctl rollouts finish fast --keep-old
    gwctl rollouts finish fast --now --yes
    """,
)
def finish(session: Session, named: Named, now: Now = False, keep_old: Keep = False) -> None:
    """Put the new target in the place of the route's old ones, by a revision that can be rolled back."""
    meant = session.home.rollouts.status(named).rollout
    session.confirm(f"have {meant.target} serve {meant.alias} in the place of what serves it now?")
    rollout, revision = session.home.rollouts.finish(named, now=now, keep=keep_old)
    session.changed(f"{rollout.target} serves {rollout.alias} since revision {revision.number}; gwctl routes rollback")
    _show(session, rollout, revision=revision.number)


def _show(session: Session, rollout: Rollout, **extra: object) -> None:
    readable = session.options.format is Format.TABLE
    session.show(Details({**(described(rollout) if readable else row(rollout)), **extra}, key="alias"))
