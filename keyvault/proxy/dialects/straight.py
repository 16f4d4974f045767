"""The straight way of plain events: from the provider's read to the client's write in one step.

An event is *plain* if it is whole, begins as the stream's last plain one did up to what it adds, and adds nothing but
content. A provider nearly always sends one as a chunk of its own, and that in one read; the bytes that came are then
the very bytes that this gateway would write. Only the plainest framing is taken: the size in two or three small hex
digits without a zero before them, CRLF, the event, CRLF. Of whatever else comes nothing is taken, and it goes the long
way, which comes to the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from os import write
from typing import Final, Protocol

MOST_UNREAD: Final = 64
"""Events put by; another is fed to the meter, which reads them all."""
MOST_PIECES: Final = 512
"""Texts put by; whoever sees that there are more has them read, which puts them together."""
_LENGTHS_KNOWN: Final = 24
_UNLIMITED: Final = 1 << 62
_UNKNOWN: Final = b"\0"
_LF: Final = 0x0A
_CR: Final = 0x0D
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_END: Final = b"\n\n"
_FRAMED_END: Final = _END + b"\r\n"
_NO_FORM: Final = (b"", slice(None), 0)
"""No chunk is itself and a tail."""


class Outlet(Protocol):
    """Where a framed chunk is written."""

    @property
    def descriptor(self) -> int:
        """Of a socket that nothing waits to be written to before; negative where there is none."""

    @property
    def write(self) -> Callable[[bytes], None]: ...


class Straight:
    """What one stream's plain events look like, and where they go. Its meter learns and reads; its relay sets `outlet`.

    `take` looks for its fields here and nowhere else: a stream's events come milliseconds apart, and what each has to
    touch must be fetched from memory anew. Each step of it is run for every event of every stream.
    """

    __slots__ = (
        "_adds_text",
        "_begins",
        "_forms",
        "_head_length",
        "_stray",
        "_tail",
        "_tail_length",
        "head",
        "last",
        "left",
        "otherwise",
        "outlet",
        "pieces",
        "read",
        "unread",
    )

    def __init__(
        self, unread: list[bytes], pieces: list[bytes], read: Callable[[], None], stray: re.Pattern[bytes]
    ) -> None:
        """`unread`: where events are put by, to be read by `read`; `pieces`: where the texts of such go that need no
        reading. `stray`: what does not occur behind the `head` of a plain event, such as an end of line."""
        self.read = read
        self._stray = stray.search
        self._adds_text = False
        """Between how plain events begin and how most end is a text and nothing else."""
        self._forms: dict[int, tuple[bytes, slice, int]] = {}
        """By the length of a chunk that adds text: how it begins, where its text is, and how long."""
        self._begins: dict[int, bytes] = {}
        self._head_length = 0
        self._tail, self._tail_length = _FRAMED_END, len(_FRAMED_END)
        self.head = _UNKNOWN
        """How plain events begin. It ends within the event's last line."""
        self.unread = unread
        self.pieces = pieces
        self.last = b""
        """The last plain event, perhaps with its framing; empty where it tells nothing but its text."""
        self.left = _UNLIMITED
        """Bytes that events may still add before somebody wants to look."""
        self.outlet: Outlet
        self.otherwise: Callable[[bytes], None]
        """The long way."""

    def learn(self, head: bytes, tail: bytes = _END, *, adds_text: bool = False) -> None:
        """How plain events begin, and how most of them end; whether the one ends and the other begins with the quote of
        the text that they add, and neither tells anything that changes."""
        if not tail.endswith(_END) or self._stray(tail, 0, len(tail) - len(_END)):
            tail, adds_text = _END, False
        self._adds_text = adds_text
        self.head, self._head_length = head, len(head)
        self._tail, self._tail_length = tail + b"\r\n", len(tail) + 2
        self._begins.clear()
        self._forms.clear()

    def added_by(self, event: bytes) -> int:
        """The bytes of an event that can be new: all but how plain ones begin, and how most end."""
        if not event.startswith(self.head):
            return len(event)
        end = self._tail[:-2] if event.endswith(self._tail[:-2], self._head_length) else _END
        return len(event) - self._head_length - len(end)

    def take(self, chunk: bytes) -> None:
        """Send on what came in one read, where a chunk begins, if it is one chunk with one plain event; else give it to
        the long way."""
        length = len(chunk)
        begin, where, added = self._forms.get(length, _NO_FORM)
        text = chunk[where]
        left = self.left - added
        if (
            left > 0
            and begin + text + self._tail == chunk
            # With escapes it may be a text, too, but then it is searched for with the others.
            and _QUOTE not in text
            and _BACKSLASH not in text
            and _LF not in text
            and _CR not in text
        ):
            if self.unread:  # which came before
                self.read()
            self.pieces.append(text)
            self.left = left
            self.last = b""
        elif not self._put_by(chunk, length):
            self.otherwise(chunk)
            return
        # Past the transport, which touches more for each write than all that is touched here.
        try:
            sent = write(self.outlet.descriptor, chunk)
        except OSError:  # no room, or nobody there: the transport deals with both. Or there is no descriptor, with TLS
            sent = 0
        if sent != length:
            self.outlet.write(chunk[sent:])

    def _put_by(self, chunk: bytes, length: int) -> bool:
        """Put a chunk by, to be read, if it is one with one plain event, whatever that adds."""
        begin = self._begins.get(length) or self._begin(length)
        start = len(begin)
        end = length - (self._tail_length if chunk.endswith(self._tail, start) else len(_FRAMED_END))
        left = self.left - (end - start)
        if (
            left <= 0
            or start >= end  # nothing added: nobody would see that it had come
            or not begin
            or not chunk.startswith(begin)
            or not chunk.endswith(_FRAMED_END, start)
            or chunk[end - 1] == _BACKSLASH  # the text, if it is one, does not end where it seems to
            or self._stray(chunk, start, end)
            or len(self.unread) > MOST_UNREAD
        ):
            return False
        self.unread.append(chunk)
        self.left = left
        self.last = chunk
        return True

    def _begin(self, length: int) -> bytes:
        """How a chunk of this length, framing included, begins if it holds a plain event; remembered, since events are
        of few lengths. Empty where no plain framing makes it as long."""
        size = length - (6 if length < 0x106 else 7)
        if size < 0x10 or length - size - len(b"\r\n\r\n") != len(b"%x" % size):
            return b""
        if len(self._begins) >= _LENGTHS_KNOWN:
            self._begins.clear()
            self._forms.clear()
        begin = self._begins[length] = b"%x\r\n%b" % (size, self.head)
        start, end = len(begin), length - self._tail_length
        if self._adds_text and start < end:
            self._forms[length] = begin, slice(start, end), end - start
        return begin
