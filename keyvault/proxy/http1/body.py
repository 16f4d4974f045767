"""A request's body: framed by its announced length or by chunks, within its limit and the cap over all bodies.

Both readers take the bytes as they come and say what follows the body. Chunk extensions are skipped; trailers are
read, checked and thrown away: a late `Authorization` is never a header.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from keyvault.errors import Refusal
from keyvault.proxy.http1.head import body_too_large, malformed
from keyvault.proxy.http1.limits import BodyBudget, Limits

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?\Z")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*\Z")
_NOT_IN_TRAILERS: Final = frozenset((b"content-length", b"transfer-encoding", b"host"))
_MAX_CHUNK_LINE: Final = 1024
_FREE_CHUNKS: Final = 4096
_MEAN_CHUNK: Final = 64
"""After `_FREE_CHUNKS` chunks they must hold this many bytes on average: else framing costs more than it carries."""


class BodyReader(Protocol):
    """Reads one body. `taken` bytes of the budget are to be given back by the owner."""

    taken: int

    def feed(self, data: bytes) -> bytes | None:
        """What follows the body, or None while it is not complete. Raises `Refusal`."""

    def body(self) -> bytes: ...


class SizedBody:
    """A body of known length."""

    __slots__ = ("_budget", "_length", "_pieces", "taken")

    def __init__(self, length: int, budget: BodyBudget) -> None:
        self._length = length
        self._budget = budget
        self._pieces: bytes | bytearray = b""
        self.taken = 0

    def feed(self, data: bytes) -> bytes | None:
        missing = self._length - self.taken
        piece = data if len(data) <= missing else data[:missing]
        self._budget.take(len(piece))
        self.taken += len(piece)
        if not self._pieces:
            self._pieces = piece
        else:
            # Not a list of pieces: a client that sends single bytes would make it forty times the size of the body.
            if isinstance(self._pieces, bytes):
                self._pieces = bytearray(self._pieces)
            self._pieces += piece
        return data[len(piece) :] if self.taken == self._length else None

    def body(self) -> bytes:
        return bytes(self._pieces)


class ChunkedBody:
    """A body in chunks."""

    __slots__ = ("_budget", "_chunks", "_left", "_limits", "_pieces", "_rest", "_trailing", "taken")

    def __init__(self, limits: Limits, budget: BodyBudget) -> None:
        self._limits = limits
        self._budget = budget
        self._pieces = bytearray()
        self._rest = b""
        """Bytes of a line that is not complete yet."""
        self._left = 0
        """Bytes still to come of this chunk, its line end included; 0 between chunks."""
        self._chunks = 0
        self._trailing = -1
        """Size of the trailers so far; -1 before the last chunk."""
        self.taken = 0

    def feed(self, data: bytes) -> bytes | None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                at = self._take(data, at)
                continue
            line_end = data.find(b"\n", at)
            if line_end < 0:
                self._hold(data[at:])
                return None
            line = data[at : line_end + 1]
            at = line_end + 1
            if not line.endswith(b"\r\n"):
                raise malformed("a line of the body's framing does not end in CR LF")
            if self._trailing < 0:
                self._begin_chunk(line[:-2])
            elif self._end_of_trailers(line[:-2]):
                return data[at:]
        return None

    def body(self) -> bytes:
        return bytes(self._pieces)

    def _take(self, data: bytes, at: int) -> int:
        """Takes what there is of the current chunk and returns where it ended."""
        size = min(self._left - 2, len(data) - at)
        if size > 0:
            self._budget.take(size)
            self.taken += size
            self._pieces += data[at : at + size]
            self._left -= size
            at += size
        while 0 < self._left <= 2 and at < len(data):
            if data[at] != (0x0D, 0x0A)[2 - self._left]:
                raise malformed("a chunk is longer than announced")
            self._left -= 1
            at += 1
        return at

    def _begin_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.match(line)
        if match is None or len(line) > _MAX_CHUNK_LINE:
            raise malformed("a chunk's size cannot be read")
        size = int(match[1], 16)
        if size == 0:
            self._trailing = 0
            return
        if self.taken + size > self._limits.max_body:
            raise body_too_large(self._limits)
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS and self.taken < self._chunks * _MEAN_CHUNK:
            raise malformed("the body's chunks are too small")
        self._left = size + 2

    def _end_of_trailers(self, line: bytes) -> bool:
        if not line:
            return True
        self._trailing += len(line) + 2
        match = _TRAILER.match(line)
        if match is None or match[1].lower() in _NOT_IN_TRAILERS:
            raise malformed("a trailer cannot be read or frames the message")
        if self._trailing > self._limits.max_head:
            raise Refusal(431, "head_too_large", "the request's trailers are too large")
        return False

    def _hold(self, rest: bytes) -> None:
        if len(rest) > (_MAX_CHUNK_LINE + 2 if self._trailing < 0 else self._limits.max_head):
            raise malformed("a line of the body's framing is too long")
        self._rest = rest
