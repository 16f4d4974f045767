"""Files of a new home: all of them are there in the end, or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def removed_on_failure(database_file: Path | None) -> Iterator[None]:
    """Take a database file that was made in the block away again when the block fails."""
    try:
        yield
    except BaseException:
        for suffix in ("", "-wal", "-shm") if database_file else ():
            Path(f"{database_file}{suffix}").unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def new_file(path: Path, text: str) -> Iterator[None]:
    """Write a private file beside its place, and put it there when the block succeeds; when it fails, nothing stays."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
