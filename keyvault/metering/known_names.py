"""What ids stand for, kept for a reader that asks every second: read again when a key changes or an id is new."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keyvault.storage import epochs
from keyvault.storage import reports as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.reports import Names


class KnownNames:
    """One thread at a time."""

    def __init__(self) -> None:
        self._names: Names | None = None
        self._epoch = -1
        self._nameless: set[tuple[str, int]] = set()

    def read(self, tx: Transaction) -> Names:
        """The names, as of the last change of a key, project or customer."""
        epoch = epochs.current(tx)[0]
        if self._names is None or epoch != self._epoch:
            self._names, self._epoch = rows.names(tx), epoch
            self._nameless.clear()
        return self._names

    def of(self, tx: Transaction, attempts: Iterable[Any]) -> Names:
        """Names that cover these rows of attempts, as far as there are names for them."""
        names = self.read(tx)
        needed = {(column, getattr(row, column)) for row in attempts for column in ("key_id", "alias_id", "target_id")}
        known = {"key_id": names.keys, "alias_id": names.aliases, "target_id": names.targets}
        missing = {(column, number) for column, number in needed if number not in known[column]}
        if missing - self._nameless:
            names = self._names = rows.names(tx)
            self._nameless |= missing
        return names
