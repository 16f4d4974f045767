"""An answer as it comes: its bytes kept, its events told apart, the times of both noted.

Whoever reads the connection feeds it, so an official SDK's answers are read in the same way as our own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from keyvault.proxy.dialects.sse import SseFramer, read_event
from opsconsole.staging.asking.answer import Answer, Event
from opsconsole.staging.asking.said import has_content


class Reading:
    """One answer, from the moment its request is sent."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._status: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._framer: SseFramer | None = None
        self._pieces: list[bytes] = []
        self._events: list[Event] = []
        self._first_content_ms: float | None = None

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._status = status
        pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
        self._headers = tuple(pairs)
        if dict(pairs).get("content-type", "").startswith("text/event-stream"):
            self._framer = SseFramer()

    def feed(self, piece: bytes) -> None:
        """A piece of the body. Raises `OversizedEvent`."""
        self._pieces.append(piece)
        if self._framer is not None:
            for event in self._framer.feed(piece):
                self._add(event)

    def answer(self, failure: str | None) -> Answer:
        """What came until now, at its end. `failure`: why it is not whole."""
        now = self._elapsed_ms()
        if self._framer is not None and (rest := self._framer.flush()):
            self._add(rest)
        if self._framer is None and failure is None:
            self._first_content_ms = now
        return Answer(
            status=self._status,
            headers=self._headers,
            body=b"".join(self._pieces),
            events=tuple(self._events),
            first_content_ms=self._first_content_ms,
            total_ms=now,
            failure=failure,
        )

    def _add(self, raw: bytes) -> None:
        name, data = read_event(raw)
        if not name and not data:
            return  # a comment, which keeps a connection open
        event = Event(name.decode("utf-8", "replace"), data.decode("utf-8", "replace"), self._elapsed_ms())
        self._events.append(event)
        if self._first_content_ms is None and has_content(event.json()):
            self._first_content_ms = event.at_ms

    def _elapsed_ms(self) -> float:
        return (self._monotonic() - self._began) * 1000
