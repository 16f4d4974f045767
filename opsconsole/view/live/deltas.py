"""How fast things happen now, from how much had happened at each of the last readings.

The ledger adds up by the minute; the difference between two readings a few seconds apart is what makes the console
live. A count that went back (midnight, another database) starts anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from opsconsole.view.live.snapshot import Rates

SPAN: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Reading:
    """What had added up by a moment."""

    at: datetime
    requests: int
    input_tokens: int
    output_tokens: int


class Readings:
    """The readings of the last seconds."""

    def __init__(self, span: timedelta = SPAN) -> None:
        self._span = span
        self._kept: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        if self._kept and reading.requests < self._kept[-1].requests:
            self._kept.clear()
        self._kept.append(reading)
        while len(self._kept) > 2 and reading.at - self._kept[1].at >= self._span:
            self._kept.popleft()

    def rates(self) -> Rates | None:
        """Per second over the span kept; None before there are two readings a second apart."""
        if len(self._kept) < 2:
            return None
        first, last = self._kept[0], self._kept[-1]
        seconds = (last.at - first.at).total_seconds()
        if seconds < 0.9:
            return None
        return Rates(
            requests=(last.requests - first.requests) / seconds,
            input_tokens=(last.input_tokens - first.input_tokens) / seconds,
            output_tokens=(last.output_tokens - first.output_tokens) / seconds,
        )
