"""One request and the answer to it: the half of the wire that the gateway's logic sees.

An answer is either one `reply`, or `start`, any number of `send` and one `finish`. Each of them writes once. What is
sent after the client has left is dropped. Headers given here never contain `content-length`, `transfer-encoding` or
`connection`: framing belongs to this module.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, Protocol

from keyvault.errors import Refusal
from keyvault.proxy.http1.head import Headers, Request
from keyvault.proxy.http1.outlet import Outlet

_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}".encode() for s in HTTPStatus}
_LINE: Final = b": ".join
_JOINED_UP_TO: Final = 64 * 1024
"""Larger bodies are written beside their head, not copied behind it."""
_UNTIL_CLOSE: Final = -1
_CHUNKED: Final = -2
_HEAD_ALONE: Final = -3
"""To a HEAD: the framing is announced, nothing follows."""


class Flow(Protocol):
    """Whatever feeds an answer; it is told when the client does not keep up."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Handler(Protocol):
    """The logic behind the wire."""

    def admit(self, exchange: Exchange) -> None:
        """Called at the request's head, before its body and before `100 Continue`. Raises `Refusal`.

        The body may never come, and nobody is told then: this must take nothing that has to be given back.
        """

    async def serve(self, exchange: Exchange) -> None:
        """Answers a whole request. Runs as a task, which is cancelled when the client leaves."""

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        """Answers with a refusal, by `reply`. Where the wire was malformed, the request is partial."""


class Exchange:
    """One request on a connection. `caller` is for the handler to use."""

    __slots__ = ("_flow", "_left", "_outlet", "_unsent_head", "caller", "finished", "request", "started")

    def __init__(self, outlet: Outlet, request: Request) -> None:
        self._outlet = outlet
        self._flow: Flow | None = None
        self._left = 0
        """Bytes of the answer still to come; negative: `_UNTIL_CLOSE`, `_CHUNKED` or `_HEAD_ALONE`."""
        self._unsent_head = b""
        """Waits for the first piece, to go in the same write; at most until the loop's next turn."""
        self.request = request
        self.caller: Any = None
        self.started = False
        self.finished = False

    @property
    def flow(self) -> Flow | None:
        """Told to pause while the client does not read. Set it to None before its owner goes on to something else."""
        return self._flow

    @flow.setter
    def flow(self, flow: Flow | None) -> None:
        self._flow = flow
        if flow is not None and self._outlet.paused:
            flow.pause_reading()

    @property
    def gone(self) -> bool:
        """The client has left; nothing can be sent any more."""
        return self._outlet.gone

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer in one write. 204 and 304 have no body."""
        if self.started:
            raise _started_already()
        bodiless = status in (204, 304)
        head = self._head(status, headers, "" if bodiless else f"content-length: {len(body)}")
        self.started = True
        if bodiless or self.request.method == "HEAD":
            self._outlet.write(head)
        elif len(body) <= _JOINED_UP_TO:
            self._outlet.write_soon(head + body)
        else:
            self._outlet.write(head)
            self._outlet.write(body)
        self.finished = True
        self._flow = None

    def start(self, status: int, headers: Headers, *, length: int | None) -> None:
        """Begins an answer of `length` bytes, or of unknown length: chunked, or up to the close for HTTP/1.0."""
        if self.started:
            raise _started_already()
        if status in (204, 304):
            framing, self._left = "", 0
        elif length is not None:
            framing, self._left = f"content-length: {length}", length
        elif self.request.version == "1.1":
            framing, self._left = "transfer-encoding: chunked", _CHUNKED
        else:
            framing, self._left = "", _UNTIL_CLOSE
            self._outlet.keep_alive = False
        if self.request.method == "HEAD":
            self._left = _HEAD_ALONE
        self.started = True
        self._unsent_head = self._head(status, headers, framing)
        self._outlet.soon(self._flush)

    def send(self, data: bytes) -> None:
        """A piece of the answer, in one write."""
        if not data or self.finished:
            return
        if self._left == _CHUNKED:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        elif self._left == _HEAD_ALONE:
            return
        elif self._left != _UNTIL_CLOSE:
            if len(data) > self._left:
                raise ValueError("the answer is longer than announced")
            self._left -= len(data)
        if self._unsent_head:
            self._write(data)
        else:
            self._outlet.write(data)

    @property
    def outlet_for_chunks(self) -> Outlet | None:
        """Where pieces may be written that are framed as chunks already; None where this answer is not, or not yet."""
        return self._outlet if self._left == _CHUNKED and not self._unsent_head and not self.finished else None

    def finish(self, data: bytes = b"") -> None:
        """The last piece and the end. An answer shorter than announced is cut instead."""
        if self.finished:
            return
        if self._left == _CHUNKED:
            self._write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n")
        else:
            self.send(data)
            if self._left > 0:
                self.abort()
                return
            self._flush()
        self.finished = True
        self._flow = None

    def abort(self) -> None:
        """Cuts the answer, so that the client sees that it is broken."""
        if self.finished:
            return
        self._flush()
        self.finished = True
        self._flow = None
        # An end of stream would look like the end of an answer that has no other end.
        self._outlet.break_off(hard=self._left == _UNTIL_CLOSE)

    def _write(self, data: bytes) -> None:
        if self._unsent_head:
            data, self._unsent_head = self._unsent_head + data, b""
        self._outlet.write(data)

    def _flush(self) -> None:
        """Writes a head that was not followed by anything at once."""
        if self._unsent_head:
            self._write(b"")

    def _head(self, status: int, headers: Headers, framing: str) -> bytes:
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown" % status, *map(_LINE, headers)]
        if framing:
            lines.append(framing.encode())
        if not self._outlet.keep_alive:
            lines.append(b"connection: close")
        elif self.request.version == "1.0":
            lines.append(b"connection: keep-alive")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        # The last line of defence against a header that would split the answer in two.
        if head.count(b"\n") != len(lines):
            raise ValueError("a line end in an answer's header")
        return head


def _started_already() -> ValueError:
    return ValueError("an answer was started already")
