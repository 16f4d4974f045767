"""How fast units may come: the generic cell rate algorithm, with weights, and with what turned out not to be used
given back.

GCRA is ITU-T Recommendation I.371's; Brandur Leach, "Rate limiting, cells, and GCRA" (brandur.org/rate-limiting), tells
why it suits an API. This is its *continuous-state leaky bucket* form, which the recommendation shows to be equal to
*virtual scheduling*: a bucket that runs off at the rate, and that holds what may come at once. It is chosen because it
is exact in integers at any rate, and because the rate may change while the bucket is in use.

Guarantees. Of what is taken, never more than `rate + rate × t` units fall in any minutes `t`. Giving back cannot raise
that: what has run off already is not given back. A unit that was taken and came to more is charged, and waited for
afterwards. Pure: the time is an argument, in microseconds of a clock that never goes back.
"""

from __future__ import annotations

from typing import Final

PERIOD_US: Final = 60_000_000
"""Rates are by the minute. A unit is so many parts, of which `rate` run off in a microsecond: no rounding anywhere."""
NO_ROOM: Final = -1


class Gcra:
    """One bucket. As many units as a minute brings may come at once."""

    __slots__ = ("_entered", "_gone", "_now_us", "rate")

    def __init__(self, rate: int, now_us: int) -> None:
        """`rate`: units a minute."""
        self.rate = rate
        self._entered = 0  # parts that ever came in
        self._gone = 0  # of these, the parts that have run off or were given back
        self._now_us = now_us

    def admit(self, weight: int, now_us: int) -> int:
        """Let so many units in, at most `rate`, if they may come now. What it returns is for `settle`; `NO_ROOM` where
        they may not."""
        if now_us > self._now_us:  # as `_run_off`, without a call
            gone = self._gone + (now_us - self._now_us) * self.rate
            self._gone = gone if gone < self._entered else self._entered
            self._now_us = now_us
        entered = self._entered + weight * PERIOD_US
        if entered - self._gone > self.rate * PERIOD_US:
            return NO_ROOM
        self._entered = entered
        return entered

    def wait_us(self, weight: int, now_us: int) -> int:
        """0 where so many units may come now, else the microseconds until they may if nobody else comes. More units
        than the bucket ever holds may come when it is empty."""
        if now_us > self._now_us:
            self._run_off(now_us)
        rate = self.rate
        room = (rate - weight) * PERIOD_US if weight < rate else 0
        over = self._entered - self._gone - room
        return 0 if over <= 0 else -(-over // rate)

    def take(self, weight: int, now_us: int) -> int:
        """Let so many units in, whether or not they conform. What it returns is for `settle`."""
        if now_us > self._now_us:
            self._run_off(now_us)
        self._entered += weight * PERIOD_US
        return self._entered

    def settle(self, taken: int, weight: int, used: int, now_us: int) -> None:
        """Of `weight` units, taken as `taken`, so many were `used`: give the rest back, or charge what it was more."""
        if now_us > self._now_us:  # as `_run_off`, without a call
            gone = self._gone + (now_us - self._now_us) * self.rate
            self._gone = gone if gone < self._entered else self._entered
            self._now_us = now_us
        back = (weight - used) * PERIOD_US
        if back <= 0:
            self._entered -= back
        elif (still_in := taken - self._gone) > 0:
            self._gone += back if back < still_in else still_in

    def change(self, rate: int, now_us: int) -> None:
        """From now on another rate; what is in the bucket stays."""
        if now_us > self._now_us:
            self._run_off(now_us)
        self.rate = rate

    def remaining(self, now_us: int) -> tuple[int, int]:
        """How many units may come now, and the microseconds until everything has run off."""
        rate, entered, gone = self.rate, self._entered, self._gone
        if now_us > self._now_us:
            gone += (now_us - self._now_us) * rate
        still_in = entered - gone
        if still_in <= 0:
            return rate, 0
        left = rate - -(-still_in // PERIOD_US)
        return left if left > 0 else 0, -(-still_in // rate)

    def _run_off(self, now_us: int) -> None:
        """`now_us`: later than the last time."""
        gone = self._gone + (now_us - self._now_us) * self.rate
        self._gone = gone if gone < self._entered else self._entered
        self._now_us = now_us
