"""How fast units may come: the generic cell rate algorithm, with weights, and with what turned out not to be used
given back.

GCRA is ITU-T Recommendation I.371's; Brandur Leach, "Rate limiting, cells, and GCRA" (brandur.org/rate-limiting), tells
why it suits an API. This is its *virtual scheduling* form, which the recommendation shows to be equal to a *leaky
bucket* that runs off at the rate and holds what may come at once: all that is remembered is when the bucket will be
empty. That time is counted in what runs off until then instead of in seconds, so that it is exact in integers at any
rate.

What is in the bucket stands in a line, in the order in which it came in, and runs off from its head. Every unit has a
place in that line that never changes. What is given back leaves a gap there, which the head of the line skips when it
comes to it: so those behind move up, and those before do not.

Guarantees. Of what is taken, never more than `rate + rate × t` units fall in any minutes `t`. Giving back cannot raise
that: what has run off already is not given back, all else is. A unit that was taken and came to more is charged, and
waited for afterwards. Pure: the time is an argument, in microseconds of a clock that never goes back.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

PERIOD_US: Final = 60_000_000
"""Rates are by the minute. A unit is so many parts, of which `rate` run off in a microsecond: no rounding anywhere."""


class Gcra:
    """One bucket. As many units as a minute brings may come at once."""

    __slots__ = ("_empty_at", "_gaps", "_given", "_most", "_skipped", "rate", "told")

    def __init__(self, rate: int) -> None:
        """`rate`: units a minute."""
        self._empty_at = 0  # the parts that run off from the clock's zero until the bucket is empty
        self._given = 0  # so many more is the place at the end of the line: the parts of all gaps there ever were
        self._skipped = 0  # so many more than what has run off is the place at its head: of those it has come to
        self._gaps: list[tuple[int, int]] = []  # those that it has not come to: place and parts, a heap
        self._follow(rate)

    def admit(self, weight: int, now_us: int) -> int | None:
        """Let so many units in, at most `rate`, if they may come now. It returns the place of the last of them, for
        `settle`; None where they may not."""
        gone, empty_at = now_us * self.rate, self._empty_at
        if empty_at < gone:
            empty_at = gone
        empty_at += weight * PERIOD_US
        if empty_at - gone > self._most:
            return None
        self._empty_at = empty_at
        return empty_at + self._given

    def wait_us(self, weight: int, now_us: int) -> int:
        """0 where so many units may come now, else the microseconds until they may if nobody else comes. More units
        than the bucket ever holds may come when it is empty."""
        rate = self.rate
        room = (rate - weight) * PERIOD_US if weight < rate else 0
        over = self._empty_at - now_us * rate - room
        return 0 if over <= 0 else -(-over // rate)

    def take(self, weight: int, now_us: int) -> int:
        """Let so many units in, whether or not they conform. It returns the place of the last, for `settle`."""
        self._empty_at = max(self._empty_at, now_us * self.rate) + weight * PERIOD_US
        return self._empty_at + self._given

    def settle(self, taken: int, weight: int, used: int, now_us: int) -> None:
        """Of `weight` units, the last at the place `taken`, so many were `used`: give the rest back, or charge what it
        was more."""
        gone, back = now_us * self.rate, (weight - used) * PERIOD_US
        if back <= 0:
            empty_at = self._empty_at
            self._empty_at = (empty_at if empty_at > gone else gone) - back
            return
        if self._gaps:
            self._skip(gone)
        still_in = taken - self._skipped - gone
        if still_in <= 0:
            return
        if back > still_in:
            back = still_in
        if taken != self._empty_at + self._given:  # there are others behind it
            heappush(self._gaps, (taken - back, back))
            self._given += back
        self._empty_at -= back

    def change(self, rate: int, now_us: int) -> None:
        """From now on another rate; what is in the bucket stays."""
        sooner = now_us * (self.rate - rate)
        self._empty_at -= sooner
        self._given += sooner  # places stay as they are
        self._skipped += sooner
        self._follow(rate)

    def remaining(self, now_us: int) -> tuple[int, int]:
        """How many units may come now, and the microseconds until everything has run off."""
        rate = self.rate
        over = now_us * rate - self._empty_at
        if over >= 0:
            return rate, 0
        left = rate + over // PERIOD_US
        return left if left > 0 else 0, -(over // rate)

    def _skip(self, gone: int) -> None:
        """Take the gaps that the head has come to as skipped."""
        gaps = self._gaps
        while gaps and gaps[0][0] <= gone + self._skipped:
            self._skipped += heappop(gaps)[1]

    def _follow(self, rate: int) -> None:
        self.rate = rate
        self.told = b"%d" % rate  # as each answer's headers tell it
        self._most = rate * PERIOD_US
