"""Which rows a running proxy may act by: those that are vouched for, and never an earlier version of one it has seen.

A seal shows a row that was edited. What it cannot show is a row as it was before, put back with its seal, or one turned
back that had taken access away while the vault was locked: those show against what this process remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from keyvault.errors import Tampered
from keyvault.storage import seals as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.seals import VOUCHED, SealedRow
from keyvault.vault.describing import described
from keyvault.vault.manifest import SealKeys, Standing, check, sealed_up_to
from keyvault.vault.stopped import turned_back

_Seen = dict[tuple[str, int], tuple[int, bool]]
"""Table and id → version, and whether it denied access."""


class Guard:
    """What one process knows of the rows it acts by. Threads may share it, but each table is for one at a time; only
    `look_at_all` is for any."""

    def __init__(self, keys: SealKeys) -> None:
        self._keys = keys
        self._seen: _Seen = {}
        self._doubts: dict[tuple[str, int], str] = {}
        self._found: dict[tuple[str, int], str] = {}
        """The doubts of the last look at everything."""
        self._removed: dict[tuple[str, int], str] = {}

    @property
    def doubts(self) -> Mapping[tuple[str, int], str]:
        """Table and id of every row that is not acted by → why, in plain words."""
        return {**self._doubts, **self._found}

    @property
    def removed(self) -> Mapping[tuple[str, int], str]:
        """Table and id of every row that something else than gwctl has removed, as far as it was asked → so, in plain
        words."""
        return dict(self._removed)

    def look_at_all(self, begin: Callable[[], AbstractContextManager[Transaction]]) -> set[str]:
        """Look at every row, in another thread than the one that acts by them; the tables whose doubts are others than
        when this looked last, which have to be read again. `begin` begins a transaction that sees one moment."""
        seen, found = self._seen.copy(), dict[tuple[str, int], str]()  # the copy comes first: no row is older than it
        with begin() as tx:
            listed = self._listed(tx)
            for name in VOUCHED:
                for row in rows.each(tx, name):
                    if (why := self._why_not(row, seen, (name, row.id) in listed)) is not None:
                        found[name, row.id] = f"{described(row)} {why}"
        changed = {name for name, _ in found.keys() ^ self._found.keys()}
        self._found = found
        return changed

    def doubted(self, tx: Transaction, name: str, ids: Collection[int] | None = None) -> set[int]:
        """The ids of rows of a table, or of some of them, that must not be acted by."""
        looked = {row.id for row in self._look(tx, name, ids)}
        return {row_id for row_id in looked if (name, row_id) in self._doubts}

    def removed_by_others(self, tx: Transaction, name: str, gone: Collection[int]) -> set[int]:
        """Of rows of a table that are gone, those that something else than gwctl removed. One snapshot is needed."""
        bad = set(gone) if gone and not self.is_what_was_sealed(tx) else set()
        for known in [known for known in self._removed if known[0] == name and known[1] not in bad]:
            del self._removed[known]
        for row_id in bad:
            self._removed[name, row_id] = f"{name} number {row_id} was removed by something else than gwctl"
        return bad

    def doubted_keys(self, tx: Transaction, ids: Collection[int]) -> set[int]:
        """The ids of keys that must not be admitted because of themselves, their project or their customer."""
        keys = list(self._look(tx, "keys", ids))
        projects = list(self._look(tx, "projects", {_field(key, "project_id") for key in keys}))
        customers = self.doubted(tx, "customers", {_field(project, "customer_id") for project in projects})
        bad = {p.id for p in projects if ("projects", p.id) in self._doubts or _field(p, "customer_id") in customers}
        return {k.id for k in keys if ("keys", k.id) in self._doubts or _field(k, "project_id") in bad}

    def _look(self, tx: Transaction, name: str, ids: Collection[int] | None) -> Iterator[SealedRow]:
        """Rows as they are looked at; to be taken to the end."""
        listed, there = self._listed(tx), set()
        for row in rows.each(tx, name, ids):
            there.add(row.id)
            why = self._why_not(row, self._seen, (name, row.id) in listed)
            if why is None:
                self._doubts.pop((name, row.id), None)
                self._seen[name, row.id] = row.version, row.denies
            else:
                self._doubts[name, row.id] = f"{described(row)} {why}"
            yield row
        for table, row_id in list(self._doubts):
            if table == name and row_id not in there and (ids is None or row_id in ids):
                del self._doubts[table, row_id]

    def is_what_was_sealed(self, tx: Transaction) -> bool:
        """Whether nothing was changed, removed or put back by something else than gwctl. One snapshot is needed; it
        takes milliseconds, for it looks at everything."""
        try:
            check(tx, self._keys)
        except Tampered:
            return False
        return True

    def _listed(self, tx: Transaction) -> set[tuple[str, int]]:
        """The rows that were stopped while the vault was locked, as far as that is not sealed yet."""
        return {*rows.unsealed_rows(tx), *((row.name, row.id) for row in turned_back(tx, sealed_up_to(tx)))}

    def _why_not(self, row: SealedRow, seen: _Seen, denied_while_locked: bool) -> str | None:
        if self._keys.standing(row) is Standing.UNFIT:
            return "was changed by something else than gwctl"
        version, denied = seen.get((row.name, row.id), (row.version, denied_while_locked))
        if row.version < version:
            return "was put back as it had been before"
        if row.version == version and (denied or denied_while_locked) and not row.denies:
            return "had been stopped, and was turned back by something else than gwctl"
        return None


def _field(row: SealedRow, name: str) -> Any:
    return dict(row.fields)[name]
