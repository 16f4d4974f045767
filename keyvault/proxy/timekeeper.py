"""The time by which keys expire: the system's clock, as far as it can be believed.

A clock that is put back revives nothing: the time never falls below what was seen and confirmed before, in an earlier
process too. A clock that jumps forward is believed, unless many keys would expire by the jump: then the time goes on as
the monotonic clock counts it, and somebody is asked first. What is remembered for later grows only as the monotonic
clock confirms it, so that one jump forward does not freeze the future.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyvault.clock import Clock
from keyvault.errors import Conflict
from keyvault.home import Home
from keyvault.storage import vault as rows

HOUR_MS: Final = 3_600_000
BELIEVABLE_ABSENCE_MS: Final = 31 * 24 * HOUR_MS
"""A gateway that was off for longer says so before it lets keys expire."""
MANY: Final = 10
"""More keys than this do not expire by a jump without a question."""

SEEN: Final = "time_seen_ms"
"""The fact under which the database remembers it."""
PERSIST_EVERY_MS: Final = 60_000

CountEndings = Callable[[int, int], int]
"""How many usable keys end after the first and up to the second moment, in milliseconds."""


class Timekeeper:
    """Tells the time to the door of one worker. `tick` is called about once a second."""

    def __init__(self, clock: Clock, seen_ms: int | None, endings: CountEndings, *, accept: bool = False) -> None:
        """`seen_ms`: what an earlier process remembered. `accept`: somebody has looked at the clock.

        Raises `Conflict` where the clock is so far ahead of it that many keys would expire.
        """
        self._clock = clock
        self._endings = endings
        wall = clock.now_ms()
        if seen_ms is None:
            seen_ms = wall
        elif wall - seen_ms > BELIEVABLE_ABSENCE_MS and not accept and (count := endings(seen_ms, wall)) > MANY:
            raise Conflict(
                f"the clock is {(wall - seen_ms) // (24 * HOUR_MS)} days ahead of when this gateway last ran, "
                f"and {count} keys would expire by that",
                hint="check the clock, then: gwctl serve --accept-clock",
            )
        self._began_ms = max(seen_ms, wall)
        self._began_at = clock.monotonic()
        self._jump_believed: bool | None = None
        """What was decided about the clock's jump; None where there was none, or not since the last tick."""
        self._lowest = self._began_ms
        self._highest = self._began_ms + HOUR_MS

    def now_ms(self) -> int:
        """The time to judge expiries by; costs hardly more than reading the clock."""
        wall = self._clock.now_ms()
        if self._lowest <= wall <= self._highest:
            return wall
        return self._judge(wall)

    def tick(self) -> int:
        """Confirm the time that has passed; what is to be remembered for the next process."""
        self._lowest = self._confirmed()
        self._highest = self._lowest + HOUR_MS
        self._jump_believed = None
        return self._lowest

    @property
    def doubt(self) -> str | None:
        """What is wrong with the clock, in a line; None while it can be believed."""
        ahead = self._clock.now_ms() - self._confirmed()
        if ahead < -HOUR_MS:
            return f"the clock was put back by {-ahead // 1000} s; keys expire by the time that has really passed"
        if ahead > HOUR_MS and self.now_ms() < self._clock.now_ms():
            return (
                f"the clock jumped forward by {ahead // 1000} s, by which many keys would expire; they do not before "
                "the gateway is started with --accept-clock, or the clock put right"
            )
        return None

    def _judge(self, wall: int) -> int:
        confirmed = self._confirmed()
        if wall <= confirmed + HOUR_MS:
            return max(wall, confirmed)
        if self._jump_believed is None:
            self._jump_believed = self._endings(confirmed, wall) <= MANY
        return wall if self._jump_believed else confirmed

    def _confirmed(self) -> int:
        """Milliseconds since the epoch: where this process began, and what the monotonic clock counted since."""
        return self._began_ms + round((self._clock.monotonic() - self._began_at) * 1000)


def seen(home: Home) -> int | None:
    """What an earlier process of this gateway remembered; None where none did."""
    with home.database.read() as tx:
        text = rows.fact(tx, SEEN)
    return int(text) if text is not None and text.isdecimal() else None


def remember(home: Home, keeper: Timekeeper) -> int:
    """Confirm the time and keep it for the next process; what was kept."""
    confirmed = keeper.tick()
    with home.database.write() as tx:
        rows.set_fact(tx, SEEN, str(confirmed))
    return confirmed


def remembering(home: Home, keeper: Timekeeper) -> Callable[[], None]:
    """The chore of a worker, about once a second: confirm the time, remember it, alert where the clock is in doubt."""
    written = remember(home, keeper)
    doubted = False

    def chore() -> None:
        nonlocal written, doubted
        if keeper.tick() - written >= PERSIST_EVERY_MS:
            written = remember(home, keeper)
        doubt = keeper.doubt
        if doubt is not None and not doubted:
            home.alerts.raise_alert("clock_doubted", "gateway", doubt)
        elif doubt is None and doubted:
            home.alerts.resolve("clock_doubted", "gateway")
        doubted = doubt is not None

    return chore
