"""How a new key's secret reaches the one who asked for it, once.

A terminal shows it; a pipe gets it only with `--json`, `-o jsonl` or `-o secret`. Whether it can be delivered is
checked before a secret is made, so that none is made that nobody receives.
"""

from __future__ import annotations

from keyvault.errors import UsageError
from keyvault.secrets import Secret
from opsconsole.cli.output import Details, Format, Row
from opsconsole.cli.session import Session


def check_deliverable(session: Session) -> None:
    """Raises `UsageError` where the secret of a new key would be lost."""
    form = session.options.format
    if form in (Format.JSON, Format.JSONL, Format.SECRET) or session.dry_run:
        return
    if form is not Format.TABLE or not session.io.on_terminal:
        where = f"-o {form} does not carry it" if form is not Format.TABLE else "stdout is not a terminal"
        raise UsageError(f"the new secret would be lost: {where}", hint="--json, or -o secret for the secret alone")


def deliver(session: Session, secret: Secret, row: Row, *, omit: frozenset[str]) -> None:
    """Print the row with its secret in the form asked for; it has been written and flushed when this returns."""
    form = session.options.format
    if form is Format.SECRET:
        session.io.data("" if session.dry_run else secret.reveal() + "\n")
    elif form is Format.TABLE:
        session.show(Details(row, omit=omit | {"secret"}))
        if not session.dry_run:
            session.io.data(f"\n  {secret.reveal()}\n\n")
            session.io.note("this is the only time the secret is shown")
    else:
        session.show(Details({**row, "secret": None if session.dry_run else secret.reveal()}))
