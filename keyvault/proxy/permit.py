"""What one request has taken of the rate limits that apply to it, and what its answer says of them.

A request is counted when it is admitted. Its tokens are reckoned then and settled with the provider's own count when it
has ended; what was under way is given back however it ended. All of it is for the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from keyvault.clock import Clock, from_ms, rfc3339
from keyvault.domain.endpoints import Family
from keyvault.domain.ledger import Settlement
from keyvault.domain.limits import Limit
from keyvault.metering.gcra import Gcra

if TYPE_CHECKING:
    from keyvault.proxy.headers import Headers

Kind = Literal["requests", "tokens", "parallel"]

PARALLEL_WAIT_US: Final = 1_000_000
"""Nobody knows when a request under way will end; this is when to ask again."""

ANY: Final = 1 << 62
"""As many as nobody has."""
_OPENAI: Final = Family.OPENAI
_Names = tuple[bytes, bytes, bytes]


def _names(pattern: bytes) -> tuple[_Names, _Names]:
    def of(kind: bytes) -> _Names:
        limit, remaining, reset = (pattern.replace(b"KIND", kind) % what for what in (b"limit", b"remaining", b"reset"))
        return limit, remaining, reset

    return of(b"requests"), of(b"tokens")


_NAMES: Final = {
    Family.OPENAI: _names(b"x-ratelimit-%b-KIND"),
    Family.ANTHROPIC: _names(b"anthropic-ratelimit-KIND-%b"),
}
"""Headers for requests and for tokens: as many as may come in a minute, as may come now, and until when all may."""


class Count:
    """What one limit counts in one environment."""

    __slots__ = ("at_once", "limit", "requests", "tokens", "under_way")

    def __init__(self, limit: Limit, now_us: int) -> None:
        self.requests: Gcra | None = None
        self.tokens: Gcra | None = None
        self.under_way = 0
        self.follow(limit, now_us)

    def follow(self, limit: Limit, now_us: int) -> None:
        """The limit's numbers are others now; what was counted stays."""
        self.limit = limit
        self.at_once = ANY if limit.parallel is None else limit.parallel
        self.requests = _bucket(self.requests, limit.rpm, now_us)
        self.tokens = _bucket(self.tokens, limit.tpm, now_us)


def _bucket(was: Gcra | None, rate: int | None, now_us: int) -> Gcra | None:
    if rate is None:
        return None
    if was is None:
        return Gcra(rate)
    was.change(rate, now_us)
    return was


class Counts:
    """Every count that applies to the requests of one caller for one model: worked out once."""

    __slots__ = ("every", "requests", "tokens")

    def __init__(self, every: Sequence[Count]) -> None:
        self.every = every
        self.requests = [count.requests for count in every if count.requests is not None]
        self.tokens = [count.tokens for count in every if count.tokens is not None]

    def obstacle(self, reckoned: int, now_us: int) -> tuple[Count, Kind, int] | None:
        """The limit without room for a request of so many tokens that has the longest wait, and that wait in
        microseconds."""
        worst: tuple[Count, Kind, int] | None = None
        longest = 0
        for count in self.every:
            if count.under_way >= count.at_once and longest < PARALLEL_WAIT_US:
                worst, longest = (count, "parallel", PARALLEL_WAIT_US), PARALLEL_WAIT_US
            if count.requests is not None and (wait := count.requests.wait_us(1, now_us)) > longest:
                worst, longest = (count, "requests", wait), wait
            if count.tokens is not None and (wait := count.tokens.wait_us(reckoned, now_us)) > longest:
                worst, longest = (count, "tokens", wait), wait
        return worst


class Permit:
    """One request's. `take` it; `close` it when the request has ended."""

    __slots__ = ("_asked", "_clock", "_counts", "_never_left", "_open", "_reckoned", "_reserved", "_unknown", "_used")

    def __init__(self, counts: Counts, reckoned: int, clock: Clock) -> None:
        """`reckoned`: how many tokens it is expected to take."""
        self._counts = counts
        self._clock = clock
        self._reckoned = reckoned
        self._asked: list[tuple[Gcra, int]] = []
        self._reserved: list[tuple[Gcra, int, int]] = []
        self._open = False
        self._used = 0
        self._unknown = False
        """Nobody knows how many tokens it took."""
        self._never_left: bool | None = None
        """No provider could be reached for it; None: none was tried."""

    def take(self, now_us: int) -> bool:
        """Count the request in, if every limit has room for it; else nothing is taken of any."""
        counts, reckoned = self._counts, self._reckoned
        for count in counts.every:
            if count.under_way >= count.at_once:
                return False
        for bucket in counts.requests:
            if (taken := bucket.admit(1, now_us)) is None:
                return self._put_back(now_us)
            self._asked.append((bucket, taken))
        for bucket in counts.tokens:  # what it is beyond the rate is charged when it is known
            weight = reckoned if reckoned < bucket.rate else bucket.rate
            if (taken := bucket.admit(weight, now_us)) is None:
                return self._put_back(now_us)
            self._reserved.append((bucket, taken, weight))
        for count in counts.every:
            count.under_way += 1
        self._open = True
        return True

    def obstacle(self, now_us: int) -> tuple[Count, Kind, int] | None:
        """The limit without room for it that has the longest wait, and that wait in microseconds."""
        return self._counts.obstacle(self._reckoned, now_us)

    def settled(self, booked: Settlement) -> None:
        """An attempt has ended: its tokens count, whoever it served."""
        if not self._open:
            return
        entered, left = booked.usage.input, booked.usage.output
        if entered is None or left is None:
            self._unknown = True
        self._used += (entered or 0) + (left or 0)
        if self._unknown or booked.status is not None:
            self._never_left = False
        elif self._never_left is None:
            self._never_left = True

    def close(self) -> None:
        """The request has ended: nothing of it is under way any more. Where what it took is not known, at least what
        was reckoned counts. One that no provider could be reached for is not counted as a request."""
        if not self._open:
            return
        self._open = False
        for count in self._counts.every:
            count.under_way -= 1
        if self._reserved or self._never_left:
            now_us, used = now_in_us(self._clock), self._used
            for bucket, taken, weight in self._reserved:
                bucket.settle(taken, weight, weight if self._unknown and used < weight else used, now_us)
            for bucket, taken in self._asked if self._never_left else ():
                bucket.settle(taken, 1, 0, now_us)

    def headers(self, family: Family) -> Headers:
        """How much of the nearest limit on requests, and of that on tokens, is left, as the API of `family` says it."""
        now_us, counts = now_in_us(self._clock), self._counts
        requests, tokens = _NAMES[family]
        found: Headers = []
        for (limit, remaining, reset), buckets in (requests, counts.requests), (tokens, counts.tokens):
            if not buckets:
                continue
            nearest, least, empty_in_us = buckets[0], ANY, 0
            for bucket in buckets:
                left, in_us = bucket.remaining(now_us)
                if left < least:
                    nearest, least, empty_in_us = bucket, left, in_us
            until = span(empty_in_us) if family is _OPENAI else self._moment(empty_in_us)
            found += (limit, nearest.told), (remaining, b"%d" % least), (reset, until.encode())
        return found

    def _put_back(self, now_us: int) -> Literal[False]:
        for bucket, taken in self._asked:
            bucket.settle(taken, 1, 0, now_us)
        for bucket, taken, weight in self._reserved:
            bucket.settle(taken, weight, 0, now_us)
        return False

    def _moment(self, later_us: int) -> str:
        return rfc3339(from_ms(self._clock.now_ms() + -(-later_us // 1000))) or ""


UNLIMITED: Final = Permit(Counts(()), 0, Clock())
"""For a request that no limit applies to."""


def now_in_us(clock: Clock) -> int:
    """Microseconds on a clock that never goes back."""
    return int(clock.monotonic() * 1_000_000)


def span(us: int) -> str:
    """A time as OpenAI's headers have it, rounded up to the millisecond: `120ms`, `1s`, `8.64s`, `6m0s`, `1h0m3s`."""
    ms = -(-us // 1000)
    if ms < 1000:
        return f"{ms}ms"
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    rest = f"{seconds}.{ms:03}".rstrip("0") if ms else f"{seconds}"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
