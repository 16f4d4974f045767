"""The text a stream produced, kept as it goes by, so that an answer cut short can be counted.

No event is decoded for it. A JSON text never holds a bare quote, so `"content":"` can only be a field, and its value
ends at the first bare quote: the pieces between are kept as they are, escapes and all, and decoded once at the end.
Events are put by and searched some at a time, which costs a third of searching each as it comes; of those that go the
straight way the values are known without a search.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from keyvault.proxy.dialects.straight import MOST_PIECES, MOST_UNREAD

MAX_BYTES: Final = 1024 * 1024
"""Beyond this nothing more is kept; it is more than any model writes in one answer."""
_LARGE_EVENT: Final = 4096
"""Put by as they are, larger events would make many open streams expensive in memory."""
_BACKSLASH: Final = 0x5C
_REST_OF_VALUE: Final = rb'([^"\\\r\n]*(?:\\[^\r\n][^"\\\r\n]*)*)'
"""Up to its quote, or to the end of the line that a malformed event leaves it open on."""
_VALUE: Final = re.compile(_REST_OF_VALUE)
_decode_text = msgspec.json.Decoder(str).decode


def pattern_for(*fields: str) -> re.Pattern[bytes]:
    """Finds the non-empty text values of these fields; group 1 is the way to the value, group 2 the value."""
    names = "|".join(fields)
    return re.compile(rf'("(?:{names})"\s*:\s*")(?!")'.encode() + _REST_OF_VALUE)


def _end_of_value(event: bytes, start: int) -> int:
    match = _VALUE.match(event, start)
    return match.end() if match else start


class Produced:
    """Collects the values of some fields over a stream's events."""

    __slots__ = ("_lead", "_pattern", "_text", "pieces", "unread")

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self._pattern = pattern
        self._lead = b"\0"
        self.unread: list[bytes] = []
        """Events put by, perhaps with their framing."""
        self.pieces: list[bytes] = []
        """Values found, of what came before `unread`."""
        self._text = bytearray()

    def add(self, event: bytes) -> None:
        """Keep what an event adds."""
        self.unread.append(event)
        if len(self.unread) > MOST_UNREAD or len(event) > _LARGE_EVENT:
            self.read()

    def read(self) -> None:
        """Find the values in what was put by. The field seen last is tried first: streams repeat themselves. An event
        with another value behind it, of another choice or another call of a tool, is searched like any other."""
        for event in self.unread:
            start = event.find(self._lead)
            if start >= 0:
                start += len(self._lead)
                end = event.find(b'"', start)
                if end > start:
                    if event[end - 1] == _BACKSLASH:
                        end = _end_of_value(event, start)
                    if self._pattern.search(event, end) is None:
                        self.pieces.append(event[start:end])
                        continue
            self._search(event)
        self.unread.clear()
        if len(self.pieces) > MOST_PIECES:
            self._fold()

    def _search(self, event: bytes) -> None:
        for match in self._pattern.finditer(event):
            self.pieces.append(match[2])
            self._lead = match[1]

    def _fold(self) -> None:
        room = MAX_BYTES - len(self._text)
        if room > 0:
            self._text += b"".join(self.pieces)[:room]
        self.pieces.clear()

    def size(self) -> int:
        """How many bytes were kept, as they came."""
        self.read()
        self._fold()
        return len(self._text)

    def text(self) -> str:
        """All that was kept, decoded."""
        self.read()
        self._fold()
        try:
            return _decode_text(b'"%b"' % bytes(self._text))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._text.decode("utf-8", "replace")  # cut within an escape or a character; near enough to count
