"""`gwctl init`: sets a gateway up."""

from __future__ import annotations

from typing import Annotated

import typer

from keyvault.domain.vault import SlotKind
from keyvault.errors import UsageError
from opsconsole.cli.arguments import SecretFile, SecretStdin
from opsconsole.cli.commands.vault.noun import RecoveryOut, new_passphrase, slot_row
from opsconsole.cli.output import Details
from opsconsole.cli.recovery import open_for_code, show_code
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single


@single(
    "init",
    changes=True,
    examples="""
    gwctl init
    gwctl init --unlock passphrase
    gwctl init --yes --unlock file --recovery-out recovery.txt --json
    GWCTL_DATABASE_URL=postgresql://gw@db/gateway gwctl init
    """,
)
def app(
    session: Session,
    unlock: Annotated[
        SlotKind, typer.Option("--unlock", metavar="KIND", help="What opens the vault: file, keyring or passphrase.")
    ] = SlotKind.FILE,
    recovery_out: RecoveryOut = None,
    secret_stdin: SecretStdin = False,
    secret_file: SecretFile = None,
) -> None:
    """Set up a gateway: database, prices, and the vault with a first way to open it."""
    if unlock is SlotKind.RECOVERY:
        raise UsageError("a recovery code is made beside another way to unlock", hint="gwctl init --unlock file")
    home = session.unopened_home
    where = str(home.paths.config.parent) if home.paths.one_roof else str(home.paths.config)
    home.refuse_existing()
    if session.dry_run:
        session.changed(f"would set up a gateway in {where}")
        return
    if session.io.can_ask:
        session.confirm(f"set up a gateway in {where}?")
    recovery = recovery_out is not None or session.io.can_ask
    passphrase = new_passphrase(session, unlock, secret_stdin, secret_file)
    with open_for_code(session, recovery_out, recovery) as keep:
        result = home.initialise(unlock, passphrase=passphrase, recovery=recovery)
        if result.recovery_code is not None:
            keep(result.recovery_code)
    session.changed(f"set up a gateway in {where}")
    row = {"home": where, "database": shown_url(home.settings.database_url), "vault_id": result.vault_id}
    slots = [slot_row(slot) for slot in result.slots]
    session.show(Details({**row, "slots": slots}, key="home", omit=frozenset({"slots"})))
    _after(session, home.paths.one_roof and unlock is SlotKind.FILE, recovery)
    if result.recovery_code is not None and recovery_out is None:
        show_code(session, result.recovery_code)


def _after(session: Session, key_beside_database: bool, recovery: bool) -> None:
    if not recovery:
        session.io.note(
            "warning: no recovery slot was made; to have one: gwctl vault slots create recovery --recovery-out FILE"
        )
    if key_beside_database:
        session.io.note("warning: the key file and the database are under one roof; who copies both can open the vault")
    session.changed("next: gwctl upstreams create openai --provider openai")


def shown_url(url: str) -> str:
    """A database URL without its password."""
    scheme, separator, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{place}"
