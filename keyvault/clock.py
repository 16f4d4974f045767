"""Injected time and identifiers.

Everything that needs the time or a new identifier takes a `Clock`; nothing calls `datetime.now` on its own. Times are
aware UTC `datetime`s at the edges and integer milliseconds since the epoch in storage and on the hot path.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Final

CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Clock:
    """The system's clock and entropy. Tests subclass it."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back and, where the system has one, counts while it sleeps."""
        return time.clock_gettime(_MONOTONIC)

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count)

    def now(self) -> datetime:
        return from_ms(self.now_ms())

    def ulid(self) -> str:
        """A 26-character identifier that sorts by time (ULID: 48 bits of milliseconds, 80 random bits)."""
        return ulid_at(self.now_ms(), int.from_bytes(self.random_bytes(10), "big"))


class Ulids:
    """The identifiers of requests, for one thread: as those of a clock, with entropy taken for many at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._of_second = ""
        """The letters for the time but for its last two, which go round about once a second."""
        self._entropy = ""
        self._at = 0

    def next(self) -> str:
        ms = self._clock.now_ms()
        if ms >> 10 != self._second:
            self._second, self._of_second = ms >> 10, ulid_at(ms)[: _OF_TIME - 2]
        start, self._at = self._at, self._at + _OF_ENTROPY
        if start == len(self._entropy):
            self._entropy = self._clock.random_bytes(_AT_ONCE * _OF_ENTROPY).translate(_LETTERS).decode()
            start, self._at = 0, _OF_ENTROPY
        return self._of_second + _PAIRS[ms & 1023] + self._entropy[start : self._at]


def ulid_at(ms: int, entropy: int = 0) -> str:
    """The ULID of a time and 80 bits of entropy; with `entropy=0` the lowest ULID of that millisecond."""
    value = (ms << 80) | entropy
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in _PAIR_SHIFTS])


_OF_TIME: Final = 10
_OF_ENTROPY: Final = 16
"""Of the 26 letters of a ULID."""
_AT_ONCE: Final = 256
_LETTERS: Final = "".join([CROCKFORD[byte % 32] for byte in range(256)]).encode()
"""The letter that a random byte stands for; each of the 32 for as many bytes."""
_PAIRS: Final = tuple(high + low for high in CROCKFORD for low in CROCKFORD)
_PAIR_SHIFTS: Final = tuple(range(120, -1, -10))


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch of an aware datetime."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of milliseconds since the epoch, exact."""
    return EPOCH + timedelta(milliseconds=ms)


def rfc3339(moment: datetime | None) -> str | None:
    """`2026-10-01T12:00:00.123Z`, or None for None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_MONOTONIC: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
