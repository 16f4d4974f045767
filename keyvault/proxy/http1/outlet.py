"""The way out of a client's connection: what is written, whether the client takes it, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from keyvault.proxy.http1.limits import Limits

_NONE: Final = -1
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


def _past(transport: asyncio.Transport) -> int:
    """The descriptor of the socket, if bytes may be written there as they are. From then on the transport says of
    every byte that it has to keep."""
    raw = transport.get_extra_info("socket")
    if raw is None or transport.get_extra_info("sslcontext") is not None:
        return _NONE
    transport.set_write_buffer_limits(0)
    return int(raw.fileno())


def _nowhere(_data: bytes) -> None:
    """Writes nothing."""


class Outlet:
    """Writes to one client. After `close`, `say_goodbye`, `break_off` or `leave` nothing more is written."""

    __slots__ = (
        "_limits",
        "_loop",
        "_since",
        "_socket",
        "_transport",
        "_unsent",
        "_waiting",
        "descriptor",
        "done",
        "gone",
        "keep_alive",
        "paused",
        "write",
    )

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self._transport = transport
        self._loop = loop
        self._limits = limits
        self._unsent = 0
        self._since = 0.0
        self._waiting = b""
        """Is written at the loop's next turn, before anything else."""
        self.keep_alive = True
        """Another answer may follow this one. Goes to False for good."""
        self.paused = False
        """The client does not take what is written."""
        self.done = False
        self.gone = False
        """The client has left."""
        self.write: Callable[[bytes], None] = transport.write
        """The transport's own method, not one of ours that asks first: every piece of an answer goes this way."""
        self._socket = self.descriptor = _past(transport)
        """`descriptor` is the socket's own as long as what is written there need not wait: then events may go there,
        past the transport. Otherwise, and with TLS, it is negative. The transport closes the socket only behind
        `connection_lost`."""

    def pause(self) -> None:
        """The client does not take what is written."""
        self.paused = True
        self.descriptor = _NONE
        self.watch()

    def resume(self) -> None:
        """The client has taken it."""
        self.paused = False
        self.descriptor = _NONE if self.done or self.gone else self._socket

    def write_soon(self, data: bytes) -> None:
        """Writes at the loop's next turn, one after the other with what others have to write: the steps of many
        requests run faster without the system's network code between them."""
        if self.done or self.gone:
            return
        if not self._waiting:
            self.write = self._write_behind
            self._loop.call_soon(self._write_waiting)
        self._waiting += data

    def soon(self, callback: Callable[[], None]) -> None:
        """Calls back at the loop's next turn."""
        self._loop.call_soon(callback)

    def watch(self) -> None:
        """Begins to watch whether the client takes what is written."""
        self._unsent = self._transport.get_write_buffer_size()
        self._since = self._loop.time()

    def has_stalled(self, now: float) -> bool:
        """Tells a client that reads slowly (`slowest_read` bytes in `write_timeout`) from one that does not read."""
        if not (self.paused or self._transport.is_closing()):
            return False
        unsent = self._transport.get_write_buffer_size()
        if unsent > self._unsent:  # the rest of the answer has come behind what had to wait: it is taken from there
            self._unsent = unsent
        elif unsent + self._limits.slowest_read <= self._unsent:
            self._unsent, self._since = unsent, now
        return now - self._since > self._limits.write_timeout

    def close(self) -> None:
        """Closes once everything is written."""
        self._write_waiting()
        self._end()
        self.watch()
        self._transport.close()

    def say_goodbye(self) -> None:
        """Ends the answers but goes on reading: closing on unread input would reset what has just been written."""
        self._write_waiting()
        self._end()
        self.watch()
        if not self._transport.is_closing() and self._transport.can_write_eof():
            self._transport.write_eof()

    def break_off(self, *, hard: bool) -> None:
        """Ends the connection in the middle of an answer; `hard`: by a reset."""
        if self.gone:
            return
        if hard and (raw := self._transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._waiting = b""
            self._transport.abort()
        self.close()

    def abort(self) -> None:
        self._waiting = b""
        self._end()
        self._transport.abort()

    def leave(self) -> None:
        """The client has left."""
        self.gone = True
        self._waiting = b""
        self._shut()

    def _write_waiting(self) -> None:
        if self._waiting:
            data, self._waiting = self._waiting, b""
            self.write = self._transport.write
            self._transport.write(data)

    def _write_behind(self, data: bytes) -> None:
        self._write_waiting()
        self.write(data)

    def _end(self) -> None:
        self.done = True
        self._shut()

    def _shut(self) -> None:
        self.write = _nowhere
        self.descriptor = _NONE
