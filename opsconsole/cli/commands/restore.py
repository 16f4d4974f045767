"""`gwctl restore FILE`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opsconsole.cli.arguments import Confirm
from opsconsole.cli.commands.backup import BackupFile, close_to_others, say_unsealed
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import single

if TYPE_CHECKING:
    from keyvault.backup import Restored


@single(
    "restore",
    changes=True,
    examples="""
    gwctl restore gateway.tar --dry-run
    gwctl restore gateway.tar --confirm gateway.tar
    gwctl restore gateway.tar --accept-rollback --confirm gateway.tar
    """,
)
def app(
    session: Session,
    file: BackupFile,
    accept_rollback: Annotated[
        bool,
        typer.Option("--accept-rollback", help="The backup is older than what was seen here, and that is intended."),
    ] = False,
    confirm: Confirm = None,
) -> None:
    """Put a backup in the place of the database, which is kept aside. Nothing may be serving.

    After a rollback no key works that was denied since: what took access away is repeated, what else changed is
    suspended and listed. Requests booked since the backup stay in the database put aside.
    """
    from keyvault import backup as backups

    close_to_others(session, file)
    home = session.unopened_home
    exists = home.exists
    if exists:
        session.confirm_name(f"put {file} in the place of this home's database?", file.name, confirm)
    restored = backups.restore(home, file, accept_rollback=accept_rollback, rehearsal=session.dry_run)
    session.changed(f"restored {file}, taken {restored.manifest.created_at:%Y-%m-%d %H:%M:%S} UTC")
    _show(session, restored)
    _tell(session, restored)


def _show(session: Session, restored: Restored) -> None:
    outcomes: list[Row] = [
        {"scope": o.scope, "action": o.action, "result": o.result.value, "why": o.why} for o in restored.outcomes
    ]
    columns = [Column("scope"), Column("action"), Column("result"), Column("why")]
    row = {
        "taken_at": restored.manifest.created_at,
        "vault_id": restored.manifest.vault_id,
        "replayed": len(restored.since),
        "denied": restored.denied,
        "records": restored.records,
        "aside": restored.aside,
    }
    inner = [Listing("changes", outcomes, columns, key="scope")] if restored.since or outcomes else []
    omit = frozenset({"aside", "denied"} if session.dry_run else {"denied"})
    session.show(Details(row, key="vault_id", inner=inner, omit=omit, absent={"aside": "nothing was here"}))


def _tell(session: Session, restored: Restored) -> None:
    note = session.io.note
    if restored.fresh:
        note("warning: nothing here remembers this gateway, so a backup that is not the newest cannot be noticed")
    say_unsealed(session, restored.manifest)
    if restored.unopened is not None:
        note(f"warning: the sealed records were not opened: {restored.unopened}")
    if restored.config_beside is not None:
        note(f"config.toml was left as it is; the backup's is {restored.config_beside}")
    if restored.denied:
        note(f"denied after the restore: {', '.join(restored.denied)}")
        note("what of that is only suspended is admitted again by: gwctl resume SCOPE")
