"""An answer as it went to a client, as far as there was room for it."""

from __future__ import annotations

from typing import Final

from keyvault.proxy.headers import Headers

MOST_HELD: Final = 64 * 1024 * 1024
_STREAM: Final = b"text/event-stream"


class Room:
    """What all answers under way may hold in memory, together: many long ones at once must not take all there is."""

    __slots__ = ("left",)

    def __init__(self, left: int = MOST_HELD) -> None:
        self.left = left
        """Bytes."""


class Kept:
    """Holds on to bytes that are there anyway; for the event loop, and when it is over for one other thread."""

    __slots__ = ("_shared", "cut", "headers", "pieces", "room", "status", "whole")

    def __init__(self, room: int, shared: Room) -> None:
        """`room`: so many bytes of the body are kept; where there are more, what comes after them is not."""
        self.room = room
        self._shared = shared
        self.status: int | None = None
        """None: nothing was sent."""
        self.headers: Headers = []
        self.pieces: list[bytes] = []
        self.cut = False
        """Some of it found no room."""
        self.whole = False
        """It was sent to its end."""

    def head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, list(headers)

    def data(self, data: bytes) -> None:
        self.room -= len(data)
        self.cut = self.cut or self.room < 0 or self._shared.left < len(data)
        if data and not self.cut:
            self.pieces.append(data)
            self._shared.left -= len(data)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(map(len, self.pieces))

    def over(self) -> None:
        """It is under way no more: whoever has it now counts what it holds."""
        self._shared.left += self.size

    @property
    def streamed(self) -> bool:
        return any(name == b"content-type" and value.lower().startswith(_STREAM) for name, value in self.headers)
