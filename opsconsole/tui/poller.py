"""The poller: one thread that reads one snapshot, posts one message, and only then arms itself again.

Three outcomes: new figures; no change (the same snapshot, read again); failed (the last snapshot, why, and a wait that
doubles up to half a minute). Every message carries all there is to know, so the newest one is enough.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from keyvault.clock import Clock
from keyvault.errors import GatewayError
from opsconsole.view.feed import Failure, Feed
from opsconsole.view.snapshot import Question, Snapshot

LONGEST_WAIT: Final = 30.0
LEAVING_TIMEOUT: Final = 2.0


class Reader(Protocol):
    """Where snapshots come from. Called in the poller's thread only."""

    def read(self, question: Question) -> Snapshot: ...


class Poller(threading.Thread):
    """Reads until stopped. `post` is called in this thread with each new `Feed`."""

    def __init__(
        self, reader: Reader, post: Callable[[Feed], object], clock: Clock, question: Question, interval: float = 1.0
    ) -> None:
        super().__init__(name="poller", daemon=True)
        self._reader = reader
        self._post = post
        self._clock = clock
        self._question = question
        self._interval = interval
        self._wake = threading.Event()
        self._leaving = False
        self._failures = 0

    def ask(self, question: Question) -> None:
        """Read the answer to this from now on, at once."""
        self._question = question
        self._wake.set()

    def every(self, seconds: float) -> None:
        """Wait this long between readings; the next one comes at once."""
        self._interval = seconds
        self._wake.set()

    def read_now(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Leave after the reading in progress; a reading that hangs is left behind."""
        self._leaving = True
        self._wake.set()
        if self.is_alive():
            self.join(LEAVING_TIMEOUT)

    def run(self) -> None:
        feed = Feed()
        while not self._leaving:
            self._wake.clear()
            feed, wait = self.step(feed)
            self._post(feed)
            self._wake.wait(wait)

    def step(self, before: Feed) -> tuple[Feed, float]:
        """One reading: what is known after it, and how long to wait for the next."""
        try:
            snapshot = self._reader.read(self._question)
        except GatewayError as error:
            return self._failed(before, error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - the console's one catch point for readings: it must outlive any of them
            return self._failed(before, f"the figures could not be read: {type(error).__name__}", "gwctl doctor")
        self._failures = 0
        if before.snapshot is not None and same_figures(before.snapshot, snapshot):
            snapshot = before.snapshot
        return Feed(snapshot, self._clock.now()), self._interval

    def _failed(self, before: Feed, text: str, hint: str | None) -> tuple[Feed, float]:
        self._failures += 1
        wait = min(LONGEST_WAIT, max(1.0, self._interval) * 2 ** min(self._failures - 1, 10))
        failure = Failure(text, hint, self._clock.now() + timedelta(seconds=wait))
        return Feed(before.snapshot, before.read_at, failure), wait


def same_figures(before: Snapshot, after: Snapshot) -> bool:
    """Whether nothing on the screen would change: all but the time it was taken and the age of an empty last step."""
    return before is after or before.timeless() == after.timeless()
