"""Where requests of the past are read from: a file, stdin, or a capture of this home."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from opsconsole.staging.exchanges import Exchange, Unusable, read, read_file

if TYPE_CHECKING:
    from keyvault.home import Home

CAPTURE: Final = "capture:"


def read_source(home: Home, source: str) -> Iterator[Exchange | Unusable]:
    """The requests of `capture:ID`, of `-` (stdin) or of a file. Raises `NotFound`, `UsageError`, `Locked`."""
    if source == "-":
        return read(sys.stdin.buffer)
    return read_file(Path(source))
