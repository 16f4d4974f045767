"""Slows down whoever keeps presenting keys that are none, without locking anybody out.

A key has 256 random bits, so guessing needs no defence; the noise does. Each address may be wrong a few times at once
and then at a steady rate; beyond it the answer is held back and its connection closed. A valid key is never delayed,
whoever else calls from the same address. Everything is in memory and bounded: no try writes to the database, and only
so many answers are held at once, the rest are given at once, so that held connections cannot crowd out others.

The rate is kept per address by GCRA, the generic cell rate algorithm (ITU-T I.371): one number, the time at which the
address would have used up nothing.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import Final

BURST: Final = 20
"""Wrong keys an address may present at once."""
PER_SECOND: Final = 2.0
HOLD_SECONDS: Final = 1.0
MOST_HELD: Final = 256
MOST_ADDRESSES: Final = 10_000


class Door:
    """What the worker remembers of wrong keys, by address. Times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self._used_until: dict[str, float] = {}
        self._held_until: deque[float] = deque()

    def turned_away(self, address: str, now: float) -> float:
        """Note a wrong key; for how many seconds its answer is to be held back, usually 0."""
        network = _network(address)
        used_until = max(self._used_until.pop(network, now), now) + 1 / PER_SECOND
        self._used_until[network] = min(used_until, now + 2 * BURST / PER_SECOND)
        if len(self._used_until) > MOST_ADDRESSES:
            del self._used_until[next(iter(self._used_until))]
        if used_until - now <= BURST / PER_SECOND:
            return 0.0
        while self._held_until and self._held_until[0] <= now:
            self._held_until.popleft()
        if len(self._held_until) >= MOST_HELD:
            return 0.0
        self._held_until.append(now + HOLD_SECONDS)
        return HOLD_SECONDS


def _network(address: str) -> str:
    """IPv6 is counted by /64, which is what one subscriber has; what is no address counts as itself."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
