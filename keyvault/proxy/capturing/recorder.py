"""Writes captured exchanges, in a thread of its own: what is slow about them never makes a request wait.

What waits to be written is bounded by number and size. Where there is no room for more, or the disk takes no more, the
exchange is dropped and counted. Exchanges that a crash finds waiting are lost; those that were written are not.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import structlog
from msgspec.structs import replace

from keyvault.captures.bodies import redacted
from keyvault.captures.captured import Answer, Captured, pack
from keyvault.captures.files import CaptureFile
from keyvault.captures.redaction import Redactor
from keyvault.clock import to_ms
from keyvault.domain.captures import Capture
from keyvault.proxy.capturing.kept import Kept
from keyvault.proxy.capturing.sample import Taken
from keyvault.proxy.dialects.errors import scrub
from keyvault.proxy.headers import Headers

log = structlog.get_logger()

MOST_WAITING: Final = 1_000
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
STOP_SECONDS: Final = 10.0
"""How long a worker that ends waits for what is still to be written."""
_FULL: Final = "there was no room for it in memory"


class Recording:
    """One capture as one worker takes it. `left` and `open` belong to the event loop, the rest to the recorder."""

    def __init__(self, capture: Capture, file: CaptureFile) -> None:
        """Raises `UsageError` where one of its patterns may not be."""
        self.capture = capture
        self.redactor = Redactor(capture.plan)
        self.file = file
        self.left = capture.plan.most - capture.taken - capture.dropped
        """So many more may be drawn."""
        self.until_ms = to_ms(capture.until)
        self.open = True
        self.closed = False
        """Nothing more will be written."""
        self.bytes = capture.bytes
        self.failure: str | None = None
        """Why the last exchange could not be written."""
        self.news = Counted()


class Counted:
    """What has happened to a capture since it was last told."""

    __slots__ = ("dropped", "size", "taken")

    def __init__(self) -> None:
        self.taken = self.dropped = self.size = 0

    def __bool__(self) -> bool:
        return bool(self.taken or self.dropped)


class Recorder:
    """One worker's. The thread starts with the first exchange."""

    def __init__(self, *, most_waiting: int = MOST_WAITING, most_bytes: int = MOST_WAITING_BYTES) -> None:
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._waiting: deque[Taken | Recording] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def put(self, taken: Taken) -> None:
        """Have an exchange written, sooner or later. Never waits: from the event loop."""
        with self._changed:
            if len(self._waiting) >= self._most_waiting or self._waiting_bytes + taken.size > self._most_bytes:
                for recording in taken.recordings:
                    _drop(recording, _FULL)
                return
            self._waiting.append(taken)
            self._waiting_bytes += taken.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="captures", daemon=True)
                self._thread.start()
            self._changed.notify()

    def retire(self, recording: Recording) -> None:
        """Close a capture's file, behind what waits for it."""
        with self._changed:
            if self._thread is None:
                recording.closed = True
                return
            self._waiting.append(recording)
            self._changed.notify()

    def news(self, recording: Recording) -> Counted:
        """What has happened to a capture since this was last asked."""
        with self._changed:
            found, recording.news = recording.news, Counted()
        return found

    def put_back(self, recording: Recording, counted: Counted) -> None:
        """It could not be told."""
        with self._changed:
            recording.news.taken += counted.taken
            recording.news.dropped += counted.dropped
            recording.news.size += counted.size

    def stop(self) -> None:
        """Write what waits, as far as there is time."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._stopping:
                    self._changed.wait()
                if not self._waiting:
                    return
                following = self._waiting.popleft()
            if isinstance(following, Recording):
                following.file.close()
                following.closed = True
                continue
            self._write(following)
            with self._changed:
                self._waiting_bytes -= following.size

    def _write(self, taken: Taken) -> None:
        exchange = None
        for recording in taken.recordings:
            try:
                exchange = exchange or _captured(taken)
                size = recording.file.append(pack(redacted(exchange, recording.redactor)))
            except OSError as error:
                self._failed(recording, error.strerror or type(error).__name__)
            except (ValueError, RecursionError) as error:  # a body that not even its provider can have made sense of
                self._failed(recording, f"{type(error).__name__} in a body")
            else:
                with self._changed:
                    recording.bytes += size
                    recording.news.taken += 1
                    recording.news.size += size
                    recording.failure = None

    def _failed(self, recording: Recording, why: str) -> None:
        with self._changed:
            if recording.failure != why:
                log.warning("an exchange could not be captured", capture=recording.capture.name, reason=why)
            _drop(recording, why)


def _drop(recording: Recording, why: str) -> None:
    recording.news.dropped += 1
    recording.failure = why


def _captured(taken: Taken) -> Captured:
    booked, request = taken.booked, taken.request
    captured = Captured(
        id=taken.request_id,
        at_ms=taken.at_ms,
        method=request.method,
        path=taken.path,
        query=taken.query,
        headers=_text(taken.headers),
        body=taken.body,
        answer=_answer(taken.kept, taken.secrets),
        key=taken.key,
        customer=taken.customer,
        project=taken.project,
        model=taken.model,
        target=taken.target,
        first_content_ms=taken.first_content_ms,
        total_ms=taken.total_ms,
        tags=taken.tags,
        cut=taken.body is None or taken.kept.cut,
    )
    if booked is None:
        return captured
    return replace(
        captured,
        outcome=booked.outcome.label,
        error_code=booked.error_code,
        usage=booked.usage,
        cost_pico=booked.cost_pico,
    )


def _answer(kept: Kept, secrets: tuple[str, ...]) -> Answer | None:
    """What the client got, without what a provider may have echoed of the credential."""
    if kept.status is None:
        return None
    body = scrub(b"".join(kept.pieces), secrets)
    return Answer(kept.status, _text(kept.headers), body, kept.streamed, kept.whole and not kept.cut)


def _text(headers: Headers) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
