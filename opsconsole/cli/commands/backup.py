"""`gwctl backup FILE` and `gwctl backup verify FILE`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import Details, Row
from opsconsole.cli.session import Session
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.backup import Manifest, Verified

backup = Noun(
    "backup",
    "The whole home in one file, taken while the proxy runs.",
    examples="gwctl backup gateway.tar\ngwctl backup verify gateway.tar",
    group=with_usual_verb("create"),
)
app = backup

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="A backup that `gwctl backup` made.")]
NO_KEY = (
    "the backup opens nothing by itself: keep a key file, passphrase or recovery code apart from it "
    "(gwctl vault slots create recovery)"
)


@backup.verb(
    "create",
    changes=True,
    examples="""
    gwctl backup create gateway.tar
    gwctl backup /var/backups/gwctl
    gwctl backup gateway.tar.gz --force
    """,
)
def create(
    session: Session,
    target: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="A new file (.gz: compressed), or a directory for one.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Take a backup of database and configuration, and verify it by opening it again.

    `gwctl backup FILE` is the same. What opens the vault is not in it.
    """
    from keyvault import backup as backups
    from keyvault.backup.making import target_of
    from keyvault.domain.names import counted

    path = target_of(session.home, target, force=force)
    if session.dry_run:
        session.changed(f"would write a backup to {path}")
        return
    made = backups.make(session.home, target, force=force)
    row = {
        "file": str(made.path),
        "size_bytes": made.size_bytes,
        "took_ms": round(made.took_seconds * 1000),
        **_verified(made.verified),
    }
    session.changed(f"wrote {made.path}: {made.size_bytes:,} bytes in {made.took_seconds:.1f} s")
    session.show(Details(row, key="file"))
    _say_what_is_missing(session, made.verified)
    if kept := len(session.home.captures.list()):
        session.io.note(f"what {counted(kept, 'capture')} kept is not in it; to keep that: gwctl captures export")


@backup.verb("verify", examples="gwctl backup verify gateway.tar\ngwctl backup verify gateway.tar --json")
def verify(session: Session, file: BackupFile) -> None:
    """Open a backup and check everything in it: digests, database, audit log and, where the vault opens, each record.

    It works in an empty home too.
    """
    from keyvault import backup as backups

    close_to_others(session, file)
    found = backups.verify(session.unopened_home, file)
    session.changed(f"{file} is whole")
    session.show(Details({"file": str(file), **_verified(found)}, key="file"))
    _say_what_is_missing(session, found)


def close_to_others(session: Session, file: Path) -> None:
    """A backup that others may read tells them names, providers and times: make it private, or say that it is not."""
    from keyvault.backup import archive

    archive.opened(file).close()
    if not file.stat().st_mode & 0o077:
        return
    try:
        file.chmod(0o600)
    except OSError:
        session.io.note(f"warning: others may read {file}")
    else:
        session.io.note(f"warning: others could read {file}; now only you can")


def _verified(found: Verified) -> Row:
    manifest = found.manifest
    return {
        "taken_at": manifest.created_at,
        "program": manifest.program,
        "schema": manifest.schema,
        "vault_id": manifest.vault_id,
        "audit_entries": manifest.audit_seq,
        "records": found.records,
    }


def say_unsealed(session: Session, manifest: Manifest) -> None:
    """A backup from before rows were sealed is taken as it is; that it is whole says nothing about who wrote it."""
    if not manifest.sealed:
        session.io.note(
            f"warning: its rows are not sealed yet, for it has schema {manifest.schema}: "
            "once restored, look at them, then: gwctl vault reseal"
        )


def _say_what_is_missing(session: Session, found: Verified) -> None:
    say_unsealed(session, found.manifest)
    if found.unopened is not None:
        session.io.note(f"warning: the sealed records were not opened: {found.unopened}")
    session.io.note(NO_KEY)
