"""`gwctl vault unlock`, `change-passphrase` and `test-recovery`: whether the vault opens, and by what."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.errors import Locked, UsageError
from keyvault.secrets import Secret
from opsconsole.cli.arguments import SecretFile, SecretStdin, given_secret
from opsconsole.cli.commands.vault.noun import slot_row, vault
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session

NEW_PASSPHRASE_FD = "GWCTL_NEW_PASSPHRASE_FD"

_SOURCES = (Column("source"), Column("outcome"), Column("why", absent=""))


@vault.verb("unlock", examples="gwctl vault unlock\ngwctl vault unlock --explain --json")
def unlock(
    session: Session,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of each source of unlock secrets whether it was used, and why not.")
    ] = False,
) -> None:
    """Prove that the vault opens with what is at hand here; nothing stays unlocked."""
    vault = session.home.vault
    if explain:
        reports = vault.explain()
        rows: list[Row] = [{"source": r.name, "outcome": r.outcome, "why": r.why or None} for r in reports]
        session.show(Listing("sources", rows, _SOURCES, key="source"))
        if not any(report.outcome == "used" for report in reports):
            raise Locked("the vault is locked: none of its sources has what opens it", hint="gwctl vault slots list")
        vault.unlock()
        return
    opened = vault.unlock()
    compartments = [compartment.value for compartment in opened.compartments]
    session.changed(f"the vault opens by {opened.source}")
    session.show(
        Details({"source": opened.source, "scope": opened.scope.value, "compartments": compartments}, key="source")
    )


@vault.verb(
    "change-passphrase",
    changes=True,
    examples="""
    gwctl vault change-passphrase
    gwctl vault change-passphrase --secret-file new.txt
    GWCTL_NEW_PASSPHRASE_FD=4 gwctl vault change-passphrase 4< new.txt
    """,
)
def change_passphrase(
    session: Session,
    slot: Annotated[
        str | None, typer.Option("--slot", metavar="ID", help="Which, where there are several passphrase slots.")
    ] = None,
    passphrase_stdin: Annotated[
        bool, typer.Option("--passphrase-stdin", "--secret-stdin", help="Read the new passphrase from stdin.")
    ] = False,
    secret_file: SecretFile = None,
) -> None:
    """Replace a passphrase. The vault must open by some slot of scope all; the old one goes when the new is proven."""
    slots = session.home.slots
    old = slots.passphrase_slot(slot)
    session.home.vault.unlock()  # first asks for what opens it now
    given = _from_descriptor(session)
    if given is not None and (passphrase_stdin or secret_file):
        raise UsageError(f"{NEW_PASSPHRASE_FD} and an option are two sources", hint=f"unset {NEW_PASSPHRASE_FD}")
    new = given or given_secret(
        session.io,
        prompt="new passphrase",
        from_stdin=passphrase_stdin,
        file=secret_file,
        missing="the new passphrase is missing",
        repeat=True,
    )
    made = slots.change_passphrase(new, old.id)
    session.changed(f"slot {made.id} with the new passphrase replaces {old.id}")
    session.show(Details({**slot_row(made), "replaces": old.id}, key="id"))


@vault.verb(
    "test-recovery",
    changes=True,
    examples="gwctl vault test-recovery\ngwctl vault test-recovery --secret-file recovery.txt",
)
def try_recovery(session: Session, secret_stdin: SecretStdin = False, secret_file: SecretFile = None) -> None:
    """Prove that a recovery code opens the vault, by opening it, and remember when."""
    code = given_secret(
        session.io,
        prompt="recovery code",
        from_stdin=secret_stdin,
        file=secret_file,
        missing="a recovery code is needed",
    )
    slot = session.home.slots.test_recovery(code)
    session.changed(f"the code opens slot {slot.id}")
    session.show(Details({**slot_row(slot), "opens": True}, key="id"))


def _from_descriptor(session: Session) -> Secret | None:
    from keyvault.vault.unlock import passphrase_from_descriptor

    return passphrase_from_descriptor(session.surroundings.environ, NEW_PASSPHRASE_FD)
