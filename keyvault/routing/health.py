"""How the targets are, as this worker has seen them: a breaker and a cool-down for each.

A breaker is *closed* while a target works. Too many failures in a row, or too large a share of failures among recent
requests, *open* it: other targets are preferred. After a while it is *half-open*: one request at a time goes there as a
probe; its first content closes the breaker, a failure, also one after that, opens it again, for twice as long. A target
that names a time by `Retry-After` is *cooling* until then.

Pure but for the time that is injected; nothing here decides what a failure is. Only targets with something against them
are remembered, and at most `Rules.remembered` of them, since clients name models freely. For one thread; `opened` may
be read by any.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from keyvault.domain.routes import Target


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    COOLING = "cooling"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a breaker opens, and for how long. Times in seconds."""

    in_a_row: int = 5
    """So many failures one after the other open it."""
    share: float = 0.5
    """So large a share of failures opens it as well …"""
    minimum: int = 20
    """… once there were so many requests …"""
    window: float = 30.0
    """… in so long a time."""
    open_for: float = 10.0
    """From opening to the first probe; doubled by each probe that fails."""
    longest_open: float = 120.0
    longest_cooling: float = 300.0
    """A provider cannot send its traffic elsewhere for longer by one `Retry-After`."""
    remembered: int = 1_000


USUAL: Final = Rules()
MOST_TOLD: Final = 100
_SLOTS: Final = 6


@dataclass(frozen=True, slots=True)
class Told:
    """One target as it is now, fit for a heartbeat."""

    target: str
    state: State
    since_ms: int | None
    """When this state began, by the clock on the wall; None: it has never been another."""
    until_ms: int | None
    """When it ends by itself: the next probe, the end of a cool-down."""
    why: str
    """Code and text of the last failure."""
    in_a_row: int
    requests: int
    failures: int
    """Of the requests in the window."""


@dataclass(slots=True)
class _Condition:
    """What is known against one target."""

    since: float = 0.0
    """When the breaker was opened or closed last; 0: never. What began before tells nothing any more."""
    why: str = ""
    in_a_row: int = 0
    open_until: float | None = None
    """None while the breaker is closed."""
    open_for: float = 0.0
    """How long it was open last; 0 once an answer was complete since."""
    answered: float = 0.0
    """When the first content of an answer closed it; 0: never."""
    cooling_since: float = 0.0
    cooling_until: float = 0.0
    probed: bool = False
    """A probe is on its way."""
    slots: deque[list[float]] = field(default_factory=lambda: deque(maxlen=_SLOTS))
    """[beginning, requests, failures], oldest first."""

    def count(self, now: float, width: float, *, failed: bool) -> None:
        if not self.slots or now - self.slots[-1][0] >= width:
            self.slots.append([now, 0, 0])
        self.slots[-1][1] += 1
        self.slots[-1][2] += failed

    def recent(self, now: float, window: float) -> tuple[int, int]:
        """Requests and failures within the window."""
        while self.slots and now - self.slots[0][0] > window:
            self.slots.popleft()
        return int(sum(slot[1] for slot in self.slots)), int(sum(slot[2] for slot in self.slots))

    def state(self, now: float) -> State:
        if self.open_until is not None and (now < self.open_until or self.cooling_until <= now):
            return State.OPEN if now < self.open_until else State.HALF_OPEN
        return State.COOLING if now < self.cooling_until else State.CLOSED


class Health:
    """What speaks against targets. `time` is monotonic, in seconds."""

    def __init__(self, time: Callable[[], float], rules: Rules = USUAL) -> None:
        self._time = time
        self._rules = rules
        self.known: dict[Target, _Condition] = {}
        """What speaks against whom; while it is empty, no other question need be asked."""
        self.opened: Mapping[Target, str] = MappingProxyType({})
        """The targets whose breaker is not closed, and why. Replaced as a whole at each change."""

    def __bool__(self) -> bool:
        """Whether anything is known against any target."""
        return bool(self.known)

    def available(self, target: Target) -> bool:
        """Whether a request should go there rather than elsewhere."""
        condition = self.known.get(target)
        if condition is None:
            return True
        state = condition.state(self._time())
        return state is State.CLOSED or (state is State.HALF_OPEN and not condition.probed)

    def begin(self, target: Target) -> None:
        """A request goes there now: where the breaker is half-open, as its probe."""
        condition = self.known.get(target)
        if condition is not None and condition.state(self._time()) is State.HALF_OPEN:
            condition.probed = True

    def abandoned(self, target: Target) -> None:
        """A request has ended without telling anything of the target, such as by its client's leaving."""
        condition = self.known.get(target)
        if condition is not None:
            condition.probed = False

    def answering(self, target: Target, began: float) -> None:
        """The first content has come for a request that began then. An open breaker need not wait for the end, which
        can be far; what was counted stays until an answer is complete, so that one more failure opens it again."""
        condition = self.known.get(target)
        if condition is not None and condition.open_until is not None and began >= condition.since:
            condition.open_until, condition.probed, condition.answered = None, False, self._time()
            self._publish()

    def succeeded(self, target: Target, began: float) -> None:
        """The target did what was asked, for a request that began then."""
        condition = self.known.get(target)
        if condition is None or began < condition.since:
            return
        now = self._time()
        condition.probed = False
        if condition.open_until is not None:
            self._close(target, condition, now)
            return
        condition.in_a_row, condition.open_for = 0, 0.0
        condition.count(now, self._rules.window / _SLOTS, failed=False)
        if not condition.recent(now, self._rules.window)[1] and condition.cooling_until <= now:
            del self.known[target]

    def failed(self, target: Target, began: float, why: str, retry_after: float | None = None) -> None:
        """The target failed a request that began then; `retry_after`: the seconds it asked to be left alone for."""
        now, rules = self._time(), self._rules
        condition = self.known.get(target) or self._remember(target)
        if retry_after is not None and retry_after > 0:
            condition.cooling_since = condition.cooling_since if now < condition.cooling_until else now
            until = now + min(retry_after, rules.longest_cooling)
            condition.cooling_until = max(condition.cooling_until, until)
        if began < condition.since:
            return
        condition.why, condition.probed = why, False
        condition.in_a_row += 1
        condition.count(now, rules.window / _SLOTS, failed=True)
        if condition.open_until is not None:
            if now >= condition.open_until:
                self._open(condition, now)
            return
        requests, failures = condition.recent(now, rules.window)
        too_many = condition.in_a_row >= rules.in_a_row
        if condition.open_for or too_many or (requests >= rules.minimum and failures >= rules.share * requests):
            self._open(condition, now)

    def told(self, now_ms: int) -> Sequence[Told]:
        """The targets with something against them, those that are not closed first; not more than people read."""
        now = self._time()
        states = {target: condition.state(now) for target, condition in self.known.items()}
        order = sorted(states, key=lambda target: (states[target] is State.CLOSED, target))[:MOST_TOLD]
        return [self._told(target, states[target], now, now_ms) for target in order]

    def _remember(self, target: Target) -> _Condition:
        if len(self.known) >= self._rules.remembered:
            self._forget_one()
        condition = self.known[target] = _Condition()
        return condition

    def _forget_one(self) -> None:
        """Make room: the oldest that is closed, else the oldest."""
        closed = (target for target, condition in self.known.items() if condition.open_until is None)
        oldest = next(closed, None) or next(iter(self.known))
        del self.known[oldest]
        self._publish()

    def _open(self, condition: _Condition, now: float) -> None:
        """For twice as long as before, where no answer was complete since."""
        seconds = min(2 * condition.open_for, self._rules.longest_open) or self._rules.open_for
        condition.since, condition.open_until, condition.open_for = now, now + seconds, seconds
        self._publish()

    def _close(self, target: Target, condition: _Condition, now: float) -> None:
        if now < condition.cooling_until:
            condition.since, condition.open_until, condition.in_a_row, condition.open_for = now, None, 0, 0.0
            condition.slots.clear()
        else:
            del self.known[target]
        self._publish()

    def _publish(self) -> None:
        opened = {target: each.why for target, each in self.known.items() if each.open_until is not None}
        self.opened = MappingProxyType(opened)

    def _told(self, target: Target, state: State, now: float, now_ms: int) -> Told:
        condition = self.known[target]
        since, until = max(condition.since, condition.answered) or None, condition.open_until
        if state is State.COOLING:
            since, until = condition.cooling_since, condition.cooling_until
        elif state is State.HALF_OPEN:
            since, until = condition.open_until, None

        def on_the_wall(moment: float | None) -> int | None:
            return None if moment is None else now_ms + round((moment - now) * 1000)

        requests, failures = condition.recent(now, self._rules.window)
        times = on_the_wall(since), on_the_wall(until)
        return Told(str(target), state, *times, condition.why[:200], condition.in_a_row, requests, failures)
