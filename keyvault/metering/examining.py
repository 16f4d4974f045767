"""Whether balances are what gwctl and the ledger left: their entries, and what was taken from them.

Entries are chained, and the balance's own sealed row names the last one, their number and their sum. What was taken has
a MAC and never falls behind the version that was seen before, by this process or, as far as it is remembered, by an
earlier one. A balance that does not hold covers nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from keyvault.domain.balances import BEGIN, Balance, EntryKind, chained
from keyvault.metering.remembered import Seen
from keyvault.metering.spending import Spending
from keyvault.storage import balances as rows
from keyvault.storage.balances import Link, Taken
from keyvault.storage.engine import Row, Transaction

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


@dataclass(frozen=True, slots=True)
class _Sound:
    """A balance that was found to hold, as it lay there."""

    name: str
    row: Row
    chain: Chain


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before a look."""

    seen: Mapping[str, Seen]
    sound: Mapping[int, _Sound]

    def like(self, row: Row) -> _Sound | None:
        """The balance, where it was found to hold as it lies there."""
        known = self.sound.get(row[0])
        if known is None or known.row != row:
            return None
        seen = self.seen.get(known.name)
        return known if seen is None or row.taken_version >= seen.version else None


class Examiner:
    """What one process knows of its balances. Threads may share it."""

    def __init__(self, spending: Spending, remembered: Mapping[str, Seen]) -> None:
        """`remembered`: what an earlier process has seen."""
        self._spending = spending
        self._lock = threading.Lock()
        self._seen = dict(remembered)
        self._sound: Mapping[int, _Sound] = {}
        self.doubts: Mapping[int, str] = {}
        """Balance id → why it covers nothing, in plain words."""
        self.missing: frozenset[str] = frozenset()
        """Names of balances that were seen before and are not there."""

    @property
    def seen(self) -> Mapping[str, Seen]:
        """What was taken from each balance, by name: the highest that was seen and vouched for."""
        with self._lock:
            return dict(self._seen)

    def known(self, *, whole: bool = False) -> Known:
        """What is known now; ask before the transaction begins that is looked with, so that no row is older than what
        it is compared with. What was found to hold is not read again unless `whole`."""
        with self._lock:
            return Known(dict(self._seen), {} if whole else self._sound)

    def look(self, begin: Begin, *, whole: bool = False) -> Mapping[int, str]:
        """Look at every balance; the doubts."""
        known = self.known(whole=whole)
        with begin() as tx:
            return self.look_at(tx, rows.stored(tx), known)

    def look_at(self, tx: Transaction, stored: Mapping[int, Row], known: Known) -> Mapping[int, str]:
        """Look at balances as they lie there; the doubts."""
        sound = {balance_id: like for balance_id, row in stored.items() if (like := known.like(row)) is not None}
        names, doubts = {each.name for each in sound.values()}, dict[int, str]()
        found = dict[str, Seen]()
        for balance in rows.read(tx, [row for balance_id, row in stored.items() if balance_id not in sound]):
            row = stored[balance.id]
            names.add(balance.name)
            why = self._why_not(rows.taken_of(row), known.seen.get(balance.name))
            if why is not None:
                doubts[balance.id] = f"what was taken from the balance of {balance.scope} {why}"
                continue
            found[balance.name] = Seen(row.taken_version, row.charged_pico, row.doubt_pico)
            if _holds(tx, balance, known.sound.get(balance.id)):
                sound[balance.id] = _Sound(balance.name, row, Chain.of(balance))
            else:
                what = f"the entries of the balance of {balance.scope}"
                doubts[balance.id] = f"{what} were changed by something else than gwctl"
        with self._lock:
            for name, each in found.items():
                if name not in self._seen or self._seen[name].version < each.version:
                    self._seen[name] = each
            self._sound = sound
        self.doubts, self.missing = doubts, frozenset(known.seen.keys() - names)
        return doubts

    def _why_not(self, row: Taken | None, seen: Seen | None) -> str | None:
        if row is None:
            return "was removed by something else than gwctl"
        if not self._spending.fits(row):
            return "was changed by something else than gwctl"
        if seen is not None and row.version < seen.version:
            return "is older than what was seen before: it was put back"
        return None


def _holds(tx: Transaction, balance: Balance, before: _Sound | None) -> bool:
    """Whether each entry follows from the one before it, and the last is the one that the balance's own row names."""
    known = Chain() if before is None else before.chain
    if before is not None and known == Chain.of(balance):
        return True
    found: Chain | None = known
    for link in rows.chain(tx, balance.id, known.entries):
        found = found.after(balance.id, link) if found is not None else None
    return found == Chain.of(balance)
