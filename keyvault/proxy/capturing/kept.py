"""An answer as it went to a client, as far as there was room for it."""

from __future__ import annotations

from typing import Final

from keyvault.proxy.headers import Headers

_STREAM: Final = b"text/event-stream"


class Kept:
    """Holds on to bytes that are there anyway; for the event loop, and when it is over for one other thread."""

    __slots__ = ("cut", "headers", "pieces", "room", "status", "whole")

    def __init__(self, room: int) -> None:
        """`room`: so many bytes of the body are kept; where there are more, what comes after them is not."""
        self.room = room
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
        self.cut = self.cut or self.room < 0
        if data and not self.cut:
            self.pieces.append(data)

    @property
    def streamed(self) -> bool:
        return any(name == b"content-type" and value.lower().startswith(_STREAM) for name, value in self.headers)
