"""Whether the database can be read, is whole, and can be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Final

from keyvault.errors import Damaged, Unavailable
from keyvault.home import Home
from opsconsole.cli.checks.finding import Finding, State

LOCK_PATIENCE_MS: Final = 3_000
"""The ledger's writer never holds the database for so long."""
PROBE_BYTES: Final = 64 * 1024
_MEGABYTE: Final = 10**6
TOO_LITTLE: Final = 100 * _MEGABYTE
LITTLE: Final = 1_000 * _MEGABYTE


def database(home: Home) -> Iterator[Finding]:
    from keyvault.storage import migrations, probe
    from keyvault.storage.engine import RESTORE, sqlite_is_sound, sqlite_module

    if (damage := probe.damage(home.database)) is not None:
        raise Damaged(f"{home.database.path} is damaged: {damage}", hint=RESTORE)
    yield Finding("schema", State.OK, f"{migrations.revision(home.database)}, as this program needs it")
    if not home.database.is_sqlite:
        yield Finding("database", State.OK, "PostgreSQL answers")
        return
    yield Finding("database", State.OK, "whole")
    module = sqlite_module()
    if sqlite_is_sound(module.sqlite_version_info):
        yield Finding("sqlite", State.OK, module.sqlite_version)
    else:
        text = f"{module.sqlite_version} can corrupt the database when two programs write at once"
        yield Finding("sqlite", State.FAILED, text, "pip install pysqlite3, or a build of 3.51.3 or newer")


def writing(home: Home, patience_ms: int = LOCK_PATIENCE_MS) -> Iterator[Finding]:
    """Write and take it back: a full disk, a read-only file and a lock that is never given back show only so."""
    from keyvault.storage import probe

    try:
        probe.write(home.database, patience_ms)
    except Unavailable as error:
        if "locked" in error.message:
            remedy = "another program holds it: end that program, or try again"
        else:
            remedy = f"make it writable: ls -ld {home.database.path or home.paths.data}"
        yield Finding("writing", State.FAILED, error.message, remedy)
        return
    yield Finding("writing", State.OK, "the database takes what is written")


def space(home: Home) -> Iterator[Finding]:
    """Room for the database's file, where it is one."""
    from keyvault.storage.engine import sqlite_path

    path = sqlite_path(home.settings.database_url)
    if path is None or not path.parent.exists():
        return
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Unavailable(f"{path.parent} takes no file: {reason}", hint=f"df -h {path.parent}") from None
    yield room(str(path.parent), shutil.disk_usage(path.parent).free)


def room(directory: str, free: int) -> Finding:
    """What so many free bytes mean."""
    state = State.FAILED if free < TOO_LITTLE else State.WARNING if free < LITTLE else State.OK
    text = f"{free // _MEGABYTE:,} MB free in {directory}"
    return Finding("space", state, text, None if state is State.OK else f"make room, or move {directory}")
