"""Server-sent events: cutting a stream of bytes into whole events, and reading one.

Lines end with LF, CR or CRLF, mixed at will; a blank line ends an event. What `feed` returns, put together, is what it
was fed, so a relay that passes every event passes every byte. An event above the bound is an `OversizedEvent`.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from keyvault.errors import GatewayError

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Images travel whole inside one event."""

_BLANK_LINE: Final = re.compile(rb"(?:\n|\r(?!\n))(?:\r\n|\n|\r)")
"""The end of a line, and another; only the last byte of the first is looked at."""
_LONGEST_END: Final = 4
_BOM: Final = b"\xef\xbb\xbf"
_check_json = msgspec.json.Decoder(msgspec.Raw)


class OversizedEvent(GatewayError):
    """A provider sent an event larger than the bound, or no end of one."""

    code = "oversized_event"
    http_status = 502


class SseFramer:
    """Cuts one stream into events. An event is returned with the blank line that ends it."""

    __slots__ = ("_max_bytes", "_pending", "_searched")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._pending = bytearray()
        self._searched = 0
        """How much of `_pending` holds no end of an event."""
        self._max_bytes = max_event_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes, in order. Raises `OversizedEvent`."""
        if self._pending:
            return self._feed_pieces(data)
        # `find` and not `in`, single bytes and not pairs: three times as fast, and every event comes by here.
        if data[-2:] == b"\n\n" and data.find(b"\r") < 0:
            last = len(data) - 2
            first = data.find(b"\n")
            if first == last or data.find(b"\n", first + 1) == last > first + 1:
                return [data]
            return [event + b"\n\n" for event in data[:-2].split(b"\n\n")]
        if data[-4:] == b"\r\n\r\n" and data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n"):
            return [event + b"\r\n\r\n" for event in data[:-4].split(b"\r\n\r\n")]
        return self._feed_pieces(data)

    @property
    def within_event(self) -> bool:
        """Part of an event has come."""
        return bool(self._pending)

    def _feed_pieces(self, data: bytes) -> list[bytes]:
        """Events that come in pieces, many at once, or with other line ends than LF."""
        pending = self._pending
        pending += data
        ends = [match.end() for match in _BLANK_LINE.finditer(pending, self._searched)]
        events = [bytes(pending[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        if ends:
            del pending[: ends[-1]]
        if len(pending) > self._max_bytes:
            raise OversizedEvent(f"an event of more than {self._max_bytes} bytes")
        self._searched = max(0, len(pending) - _LONGEST_END + 1)
        return events

    def flush(self) -> bytes:
        """What is left at the stream's end, as a whole event where only its blank line was missing.

        An event that was cut short is dropped: no client could read it.
        """
        rest = bytes(self._pending)
        self._pending.clear()
        self._searched = 0
        if not rest.strip():
            return b""
        if rest.endswith((b"\n", b"\r")) or _is_whole(read_event(rest)[1]):
            return rest + (b"\n" if rest.endswith(b"\n") else b"\n\n")
        return b""


def _is_whole(data: bytes) -> bool:
    if data == b"[DONE]":
        return True
    try:
        _check_json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def read_event(event: bytes) -> tuple[bytes, bytes]:
    """The name (empty where it has none) and the data of one event, read as the HTML standard says."""
    name, data = b"", []
    for line in event.removeprefix(_BOM).splitlines():
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, b"\n".join(data)
