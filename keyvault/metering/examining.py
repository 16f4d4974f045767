"""Whether balances are what gwctl and the ledger left: their entries, and what was taken from them.

Entries are chained, and the balance's own sealed row names the last one, their number and their sum. What was taken has
a MAC and never falls behind the version that was seen before, by this process or, as far as it is remembered, by an
earlier one. A balance that does not hold covers nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from keyvault.domain.balances import BEGIN, Balance, EntryKind, chained
from keyvault.metering.remembered import Seen
from keyvault.metering.spending import Spending
from keyvault.storage import balances as rows
from keyvault.storage.balances import Link, Taken
from keyvault.storage.engine import Transaction

Begin = Callable[[], AbstractContextManager[Transaction]]
"""Begins a transaction that sees one moment."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The entries of a balance up to one."""

    entries: int = 0
    funded_pico: int = 0
    released_pico: int = 0
    head: bytes = BEGIN

    @classmethod
    def of(cls, balance: Balance) -> Chain:
        """As the balance's own row says."""
        return cls(balance.entries, balance.funded_pico, balance.released_pico, balance.head)

    def after(self, balance_id: int, link: Link) -> Chain | None:
        """With one entry more; None where that does not follow."""
        head = chained(balance_id, self.head, link.said)
        if link.number != self.entries + 1 or link.digest != head or not isinstance(link.amount_pico, int):
            return None
        released = link.amount_pico if link.kind == EntryKind.RELEASE else 0
        return Chain(link.number, self.funded_pico + link.amount_pico, self.released_pico + released, head)


@dataclass(slots=True)
class _Found:
    """What one look has found."""

    doubts: dict[int, str] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    chains: dict[int, Chain] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


class Examiner:
    """What one process knows of its balances. Threads may share it."""

    def __init__(self, spending: Spending, remembered: Mapping[str, Seen]) -> None:
        """`remembered`: what an earlier process has seen."""
        self._spending = spending
        self._lock = threading.Lock()
        self._seen = dict(remembered)
        self._chains: dict[int, Chain] = {}
        self.doubts: Mapping[int, str] = {}
        """Balance id → why it covers nothing, in plain words."""
        self.missing: frozenset[str] = frozenset()
        """Names of balances that were seen before and are not there."""

    @property
    def seen(self) -> Mapping[str, Seen]:
        """What was taken from each balance, by name: the highest that was seen and vouched for."""
        with self._lock:
            return dict(self._seen)

    def look(self, begin: Begin, *, whole: bool = False) -> Mapping[int, str]:
        """Look at every balance; the doubts. Entries that were found to hold are not read again unless `whole`."""
        with self._lock:  # before the transaction begins: no row is older than what is compared with it
            seen, chains = dict(self._seen), {} if whole else dict(self._chains)
        with begin() as tx:
            found = self._look(tx, seen, chains)
        with self._lock:
            for name, each in found.seen.items():
                if name not in self._seen or self._seen[name].version < each.version:
                    self._seen[name] = each
            self._chains = found.chains
        self.doubts, self.missing = found.doubts, frozenset(seen.keys() - found.names)
        return self.doubts

    def _look(self, tx: Transaction, seen: Mapping[str, Seen], chains: Mapping[int, Chain]) -> _Found:
        found, taken = _Found(), {row.balance_id: row for row in rows.taken(tx)}
        for balance in rows.every(tx):
            found.names.add(balance.name)
            row = taken.get(balance.id)
            if (why := self._why_not(row, seen.get(balance.name))) is not None:
                found.doubts[balance.id] = f"what was taken from the balance of {balance.scope} {why}"
            elif row is not None:
                found.seen[balance.name] = Seen(row.version, row.charged_pico, row.doubt_pico)
            chain = Chain.of(balance)
            if chains.get(balance.id) == chain or _followed(tx, balance.id, chains.get(balance.id, Chain())) == chain:
                found.chains[balance.id] = chain
            else:
                what = f"the entries of the balance of {balance.scope}"
                found.doubts[balance.id] = f"{what} were changed by something else than gwctl"
        return found

    def _why_not(self, row: Taken | None, seen: Seen | None) -> str | None:
        if row is None:
            return "was removed by something else than gwctl"
        if not self._spending.fits(row):
            return "was changed by something else than gwctl"
        if seen is not None and row.version < seen.version:
            return "is older than what was seen before: it was put back"
        return None


def _followed(tx: Transaction, balance_id: int, known: Chain) -> Chain | None:
    """The chain of all entries, from what is known to hold; None where one does not follow."""
    found: Chain | None = known
    for link in rows.chain(tx, balance_id, known.entries):
        found = found.after(balance_id, link) if found is not None else None
    return found
