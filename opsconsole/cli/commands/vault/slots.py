"""`gwctl vault slots`: the ways to open the vault."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.vault import SlotKind, SlotScope
from keyvault.errors import UsageError
from opsconsole.cli.arguments import Confirm, SecretFile, SecretStdin
from opsconsole.cli.commands.vault.noun import SLOT_COLUMNS, RecoveryOut, new_passphrase, slot_row, vault
from opsconsole.cli.output import Details, Listing
from opsconsole.cli.recovery import open_for_code, show_code
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

slots = Noun(
    "slots",
    "The ways to open the vault; any one of them is enough.",
    examples="gwctl vault slots list\ngwctl vault slots create passphrase",
)
vault.add(slots)

Kind = Annotated[SlotKind, typer.Argument(metavar="KIND", help="file, keyring, passphrase or recovery.")]
SlotId = Annotated[str, typer.Argument(metavar="ID", help="As `gwctl vault slots list` shows it.")]


@slots.verb("list", examples="gwctl vault slots list -o name")
def list_(session: Session) -> None:
    """List the ways to open the vault."""
    rows = [slot_row(slot) for slot in session.home.slots.list()]
    session.show(Listing("slots", rows, SLOT_COLUMNS, key="id"))


@slots.verb(
    "create",
    changes=True,
    examples="""
    gwctl vault slots create passphrase
    gwctl vault slots create keyring
    gwctl vault slots create file --scope keys --key-file /etc/gwctl/rotate.key
    gwctl vault slots create recovery --recovery-out recovery.txt
    """,
)
def create(
    session: Session,
    kind: Kind,
    scope: Annotated[
        SlotScope, typer.Option("--scope", metavar="all|keys", help="keys: opens no provider secret.")
    ] = SlotScope.ALL,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Where a file slot's key is written.")
    ] = None,
    recovery_out: RecoveryOut = None,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
) -> None:
    """Add a way to open the vault. It must be unlocked, by a slot whose scope is all."""
    if key_file is not None and kind is not SlotKind.FILE:
        raise UsageError(
            "--key-file is for slots of the kind file", hint="gwctl vault slots create file --key-file FILE"
        )
    passphrase = new_passphrase(session, kind, secret_stdin, secret_file)
    with open_for_code(session, recovery_out if kind is SlotKind.RECOVERY else None, kind is SlotKind.RECOVERY) as keep:
        made = session.home.slots.create(
            kind, scope=scope, passphrase=passphrase, key_file=None if key_file is None else key_file.absolute()
        )
        if made.recovery_code is not None:
            keep(made.recovery_code)
    session.changed(f"created slot {made.slot.id}")
    session.show(Details(slot_row(made.slot), key="id"))
    if made.recovery_code is not None and recovery_out is None and not session.dry_run:
        show_code(session, made.recovery_code)


@slots.verb("delete", changes=True, examples="gwctl vault slots delete passphrase-1 --confirm passphrase-1")
def delete(session: Session, slot_id: SlotId, confirm: Confirm = None) -> None:
    """Remove a way to open the vault; the last one that opens everything stays."""
    found = next((slot for slot in session.home.slots.list() if slot.id == slot_id), None)
    if found is not None:
        session.confirm_name(
            f"delete slot {slot_id} ({found.kind.value})? it will not open the vault again", slot_id, confirm
        )
    deleted = session.home.slots.delete(slot_id)
    session.changed(f"deleted slot {slot_id}")
    if not deleted.secret_removed and not session.dry_run:
        session.io.note(f"its secret could not be removed and opens nothing any more: {deleted.slot.detail}")
    session.show(
        Details({**slot_row(deleted.slot), "deleted": True, "secret_removed": deleted.secret_removed}, key="id")
    )
