"""Files of a new home: all of them are there in the end, or none."""

from __future__ import annotations

import contextlib
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
