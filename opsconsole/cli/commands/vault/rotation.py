"""`gwctl vault rotate-data` and `rotate-pepper`: new keys below the root, while everything runs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from keyvault.domain.names import parse_duration
from keyvault.domain.vault import Compartment
from keyvault.errors import CheckFailed, Conflict, UsageError
from keyvault.vault.results import DataKeyRotation
from opsconsole.cli.arguments import Confirm
from opsconsole.cli.commands.vault.noun import vault
from opsconsole.cli.commands.vault.status import straggler_listing, straggler_row
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session

_COLUMNS = (
    Column("compartment"),
    Column("changed"),
    Column("generation"),
    Column("rewrapped"),
    Column("destroyed"),
    Column("reason", absent=""),
)


class Which(StrEnum):
    """Values of `--compartment`."""

    UPSTREAM = "upstream"
    KEYS = "keys"
    ALL = "all"

    @property
    def compartments(self) -> tuple[Compartment, ...]:
        return tuple(Compartment) if self is Which.ALL else (Compartment(self.value),)


@vault.verb(
    "rotate-data",
    changes=True,
    examples="""
    gwctl vault rotate-data
    gwctl vault rotate-data --compartment keys --wait-lock 5m --json
    """,
)
def rotate_data(
    session: Session,
    compartment: Annotated[
        Which, typer.Option("--compartment", metavar="upstream|keys|all", help="Whose data key.")
    ] = Which.ALL,
    wait_lock: Annotated[
        str, typer.Option("--wait-lock", metavar="DURATION", help="How long to wait for another rotation, such as 5m.")
    ] = "0s",
) -> None:
    """Seal every record under a new data key, while the proxy serves; the old key is destroyed at the end.

    Killed at any moment, run it again: it goes on where it was.
    """
    wait = parse_duration(wait_lock)
    if compartment is not Which.KEYS:  # what cannot be finished is not begun
        session.home.vault.unlock(Compartment.UPSTREAM)
    done = []
    for one in compartment.compartments:
        progress = session.io.progress(f"{one.value}: sealing records anew")
        done.append(session.home.data_keys.rotate(one, wait=wait, progress=progress))
    for rotation in done:
        _tell(session, rotation)
    rows = [_row(rotation, session.dry_run) for rotation in done]
    session.show(Listing("rotations", rows, _COLUMNS, key="compartment"))
    if left := [record for rotation in done for record in rotation.left]:
        raise CheckFailed(
            f"{len(left)} sealed records do not open and keep their old data key: {', '.join(left[:5])}",
            hint="gwctl doctor",
        )


@vault.verb(
    "rotate-pepper",
    changes=True,
    examples="""
    gwctl vault rotate-pepper
    gwctl vault status --stragglers
    gwctl vault rotate-pepper --finish
    """,
)
def rotate_pepper(
    session: Session,
    finish: Annotated[bool, typer.Option("--finish", help="Destroy the old pepper; first shows who needs it.")] = False,
    confirm: Confirm = None,
) -> None:
    """Give tokens a new pepper: new ones at once, each other one when it is next used."""
    if finish:
        _finish(session, confirm)
        return
    if confirm is not None:
        raise UsageError("--confirm is for --finish", hint="gwctl vault rotate-pepper --finish --confirm NAME")
    version = session.home.peppers.rotate()
    waiting = session.home.vault.status().old_pepper_tokens
    session.changed(f"new tokens use pepper {version}; {waiting} tokens move to it when they are next used")
    session.show(Details({"version": version, "old_pepper_tokens": waiting}, key="version"))


def _finish(session: Session, confirm: str | None) -> None:
    peppers = session.home.peppers
    waiting = [straggler_row(token) for token in peppers.stragglers()]
    if waiting:
        _agree_to_lose(session, waiting, confirm)
    done = peppers.finish(losing=bool(waiting))
    session.changed(f"destroyed {len(done.destroyed)} old peppers; {len(done.lost)} tokens stopped working")
    lost = straggler_listing([straggler_row(token) for token in done.lost])
    row = {"destroyed": list(done.destroyed), "lost": len(done.lost)}
    session.show(Details(row, key="destroyed", inner=[lost] if done.lost else []))


def _agree_to_lose(session: Session, waiting: list[Row], confirm: str | None) -> None:
    """Show which keys would stop working; go on only if that was asked for by name."""
    keys = sorted({str(row["key"]) for row in waiting})
    shown = ", ".join(keys[:10]) + (f" and {len(keys) - 10} more" if len(keys) > 10 else "")
    what = f"{len(waiting)} tokens still need the old pepper and would stop working: {shown}"
    name = f"pepper-{waiting[0]['pepper_version']}"
    if confirm is None and not session.dry_run and not session.io.can_ask:
        raise Conflict(what, hint=f"wait until they are used, or gwctl vault rotate-pepper --finish --confirm {name}")
    session.io.note(what)
    session.confirm_name(f"destroy {name}? nothing brings it back", name, confirm)


def _tell(session: Session, rotation: DataKeyRotation) -> None:
    if not rotation.changed:
        session.io.note(f"{rotation.compartment.value}: nothing to do: {rotation.reason}")
        return
    resumed = " (resumed)" if rotation.resumed else ""
    what = f"{rotation.compartment.value}: {rotation.rewrapped} records under data key {rotation.generation}{resumed}"
    session.changed(what)


def _row(rotation: DataKeyRotation, dry_run: bool) -> Row:
    row = {
        "compartment": rotation.compartment.value,
        "changed": rotation.changed,
        "generation": rotation.generation,
        "resumed": rotation.resumed,
        "rewrapped": rotation.rewrapped,
        "destroyed": list(rotation.destroyed),
        "left": list(rotation.left),
        "reason": rotation.reason,
    }
    return {**row, "dry_run": True} if dry_run else row
