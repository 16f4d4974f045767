"""What was taken from balances as it was seen last, in a small file outside the database.

The ledger's row of a balance has a MAC, but an older row with its own MAC, or a whole older database, would fit it: it
shows against this file. Balances are named there as people name them, since a restored database may number them anew.
The file proves nothing against who can write both, and nothing of what happened after it was written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from keyvault import files
from keyvault.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Seen:
    """What was taken from one balance when somebody looked."""

    version: int
    charged_pico: int
    doubt_pico: int

    @property
    def taken_pico(self) -> int:
        return self.charged_pico + self.doubt_pico


class Remembered:
    """The file. Each process that serves rewrites it whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Seen]:
        """By name of the balance; nothing where there is no file yet, or none that can be read."""
        try:
            told = json.loads(self.path.read_bytes())
            return {str(name): Seen(*(int(value[field]) for field in Seen.__slots__)) for name, value in told.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write(self, seen: Mapping[str, Seen]) -> None:
        """Raises `Unavailable` where it cannot be written."""
        told = {name: asdict(seen[name]) for name in sorted(seen)}
        try:
            files.replace(self.path, json.dumps(told, indent=1).encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"cannot be written: {self.path}: {error.strerror}") from None
