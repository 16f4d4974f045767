"""Books what is taken from balances, in the ledger's own transactions, each row with a MAC.

Every settlement that drew on a balance adds to the row of that balance in the transaction that settles it; whoever
books reads the row there, so that the writer, the recovery and the settling of batches can do so side by side. A row
whose MAC does not fit was changed by something else, one of an earlier version than was seen was put back: what is
taken is still added, and the row stays without a MAC, so that nobody takes it for sound.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence

from keyvault.storage.balances import Taken
from keyvault.storage.ledger import Transaction


class Spending:
    """Knows the key of the MACs; without one (in tests, and where nothing is vouched for) rows have none."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key
        self._signer = None if key is None else hmac.new(key, digestmod="sha256")
        """Copied for each MAC: it has taken the key in already."""
        self._last: dict[int, Taken] = {}
        """Balance id → the row of the highest version that this process found sound or has written for good."""

    def take(self, tx: Transaction, taken: Mapping[int, tuple[int, int]]) -> Sequence[Taken]:
        """Add what was charged and what is in doubt, by balance id; the rows, to be `written` after the commit."""
        return [self._take(tx, each, *taken[each]) for each in sorted(taken)] if taken else ()

    def written(self, rows: Iterable[Taken]) -> None:
        """The transaction of these rows was committed: what is older has been put back by somebody."""
        for row in rows:
            last = self._last.get(row.balance_id)
            if last is None or row.version >= last.version:
                self._last[row.balance_id] = row

    def fits(self, row: Taken) -> bool:
        """Whether the ledger wrote the row as it is."""
        return self._key is None or (row.mac is not None and hmac.compare_digest(row.mac, self._mac(row) or b""))

    def first(self, balance_id: int) -> Taken:
        """The row of a balance that nothing was taken from."""
        return self.signed(Taken(balance_id, 1, 0, 0, None))

    def signed(self, row: Taken) -> Taken:
        """The row with its MAC, for whoever has made sure that it says what is true."""
        return Taken(row.balance_id, row.version, row.charged_pico, row.doubt_pico, self._mac(row))

    def _take(self, tx: Transaction, balance_id: int, charged: int, doubt: int) -> Taken:
        """Nearly always the row is the one that was written last, so that it need not be read, nor its MAC be made
        again: the database compares."""
        last = self._last.get(balance_id)
        if last is not None and last.mac is not None:
            added = self.signed(_added(last, charged, doubt))
            if tx.replace_spending(last, added):
                return added
        row = next(iter(tx.spending([balance_id])), None)
        sound = row is not None and self.fits(row) and (last is None or row.version >= last.version)
        if row is not None and sound:
            self.written([row])
        added = _added(row or Taken(balance_id, 0, 0, 0, None), charged, doubt)
        added = self.signed(added) if sound else added
        tx.set_spending([added])
        return added

    def _mac(self, row: Taken) -> bytes | None:
        if self._signer is None:
            return None
        place = ascii((row.balance_id, row.version, row.charged_pico, row.doubt_pico))
        mac = self._signer.copy()
        mac.update(place.encode())
        return mac.digest()


def _added(row: Taken, charged: int, doubt: int) -> Taken:
    return Taken(row.balance_id, row.version + 1, row.charged_pico + charged, row.doubt_pico + doubt, None)
