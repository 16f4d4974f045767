"""The noun `vault`, and what several of its verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from keyvault.domain.vault import Slot, SlotKind
from keyvault.secrets import Secret
from opsconsole.cli.arguments import given_secret
from opsconsole.cli.output import Column, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

vault: Final = Noun(
    "vault",
    "How the vault opens, and the keys below it.",
    examples="gwctl vault status\ngwctl vault slots list\ngwctl vault rotate-data",
    modules={
        "opening": ("unlock", "change-passphrase", "test-recovery"),
        "resealing": ("reseal",),
        "status": ("status",),
        "rotation": ("rotate-data", "rotate-pepper"),
        "slots": ("slots",),
    },
)

SLOT_COLUMNS: Final = (
    Column("id"),
    Column("kind"),
    Column("scope"),
    Column("detail", "WHERE"),
    Column("created_at", "CREATED"),
)

RecoveryOut = Annotated[
    Path | None, typer.Option("--recovery-out", metavar="FILE", help="Write the recovery code to a new file.")
]


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
