"""`gwctl vault`: how the vault opens, and what is in it, without opening it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keyvault.domain.vault import Slot, SlotKind, SlotScope
from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.cli.arguments import Confirm, SecretFile, SecretStdin, given_secret
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.recovery import open_for_code, show_code
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

vault = Noun("vault", "How the vault opens.", examples="gwctl vault status\ngwctl vault slots list")
slots = Noun(
    "slots",
    "The ways to open the vault; any one of them is enough.",
    examples="gwctl vault slots list\ngwctl vault slots create passphrase",
)
vault.add(slots)
app = vault.app

_SLOT_COLUMNS = [
    Column("id"),
    Column("kind"),
    Column("scope"),
    Column("detail", "WHERE"),
    Column("created_at", "CREATED"),
]

Kind = Annotated[SlotKind, typer.Argument(metavar="KIND", help="file, keyring, passphrase or recovery.")]
SlotId = Annotated[str, typer.Argument(metavar="ID", help="As `gwctl vault slots list` shows it.")]
RecoveryOut = Annotated[
    Path | None, typer.Option("--recovery-out", metavar="FILE", help="Write the recovery code to a new file.")
]


@vault.verb("status", examples="gwctl vault status --json")
def status(session: Session) -> None:
    """Show what the vault holds and how it opens, without opening it."""
    state = session.home.vault.status()
    data_keys: list[Row] = [
        {"generation": k.number, "compartment": k.compartment.value, "state": k.state, "created_at": k.created_at}
        for k in state.data_keys
    ]
    columns = [Column("generation"), Column("compartment"), Column("state"), Column("created_at", "CREATED")]
    session.show(
        Details(
            {"vault_id": state.vault_id, "records": dict(state.records)},
            key="vault_id",
            inner=[
                Listing("slots", [slot_row(slot) for slot in state.slots], _SLOT_COLUMNS, key="id"),
                Listing("data_keys", data_keys, columns, key="generation"),
            ],
        )
    )


@slots.verb("list", examples="gwctl vault slots list -o name")
def list_(session: Session) -> None:
    """List the ways to open the vault."""
    rows = [slot_row(slot) for slot in session.home.vault.slots()]
    session.show(Listing("slots", rows, _SLOT_COLUMNS, key="id"))


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
        if session.dry_run:
            session.home.vault.slots()
            session.changed(f"would create a {kind.value} slot")
            return
        made = session.home.vault.create_slot(
            kind, scope=scope, passphrase=passphrase, key_file=None if key_file is None else key_file.absolute()
        )
        if made.recovery_code is not None:
            keep(made.recovery_code)
    session.changed(f"created slot {made.slot.id}")
    session.show(Details(slot_row(made.slot), key="id"))
    if made.recovery_code is not None and recovery_out is None:
        show_code(session, made.recovery_code)


@slots.verb("delete", changes=True, examples="gwctl vault slots delete passphrase-1 --confirm passphrase-1")
def delete(session: Session, slot_id: SlotId, confirm: Confirm = None) -> None:
    """Remove a way to open the vault; the last one that opens everything stays."""
    found = next((slot for slot in session.home.vault.slots() if slot.id == slot_id), None)
    if found is not None:
        session.confirm_name(
            f"delete slot {slot_id} ({found.kind.value})? it will not open the vault again", slot_id, confirm
        )
    if session.dry_run and found is not None:
        session.changed(f"would delete slot {slot_id}")
        return
    deleted = session.home.vault.delete_slot(slot_id)
    session.changed(f"deleted slot {slot_id}")
    if not deleted.secret_removed:
        session.io.note(f"its secret could not be removed and opens nothing any more: {deleted.slot.detail}")
    session.show(
        Details({**slot_row(deleted.slot), "deleted": True, "secret_removed": deleted.secret_removed}, key="id")
    )


def slot_row(slot: Slot) -> Row:
    """A slot as programs see it."""
    return {
        "id": slot.id,
        "kind": slot.kind.value,
        "scope": slot.scope.value,
        "detail": slot.detail,
        "created_at": slot.created_at,
    }


def new_passphrase(session: Session, kind: SlotKind, from_stdin: bool, file: Path | None) -> Secret | None:
    """The passphrase of a new passphrase slot, typed twice or read; None for other kinds."""
    if kind is not SlotKind.PASSPHRASE:
        return None
    missing = "a passphrase slot needs a passphrase"
    return given_secret(
        session.io, prompt="new passphrase", from_stdin=from_stdin, file=file, missing=missing, repeat=True
    )
