"""A small HTTP/1.1 server on asyncio and httptools: one request at a time on a connection, keep-alive, honest endings.

When the client leaves, the task that answers it is cancelled, so the simulator knows at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

import httptools

Headers = Iterable[tuple[str, str]]
_CUT: Final = "\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request. Header names are lower case; of a repeated header the last counts."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


class Reply:
    """The answer to one request, written piece by piece."""

    def __init__(self, connection: Connection, keep_alive: bool) -> None:
        self._connection = connection
        self._keep_alive = keep_alive
        self._chunked = False
        self.cut_off = False

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer in one write."""
        self._connection.write(self._head(status, [*headers, ("content-length", str(len(body)))]) + body)

    def start(self, status: int, headers: Headers, length: int | None = None) -> None:
        """The head of an answer whose body follows: of `length` bytes, or chunked."""
        self._chunked = length is None
        framing = ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
        self._connection.write(self._head(status, [*headers, framing]))

    async def send(self, data: bytes) -> None:
        """A piece of the body; waits while the client does not read."""
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        await self._connection.writable.wait()

    def finish(self) -> None:
        """The end of the body."""
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Close the connection in the middle of the answer, after what was written has left."""
        self.cut_off = True
        self._connection.close()

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {value}" for name, value in headers)]
        if not self._keep_alive:
            lines.append("connection: close")
        return (_CUT.join(lines) + _CUT * 2).encode("latin-1")


Serve = Callable[[Request, Reply], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, serve: Serve, connections: set[Connection]) -> None:
        self._serve = serve
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._connections.discard(self)
        self.writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            Reply(self, keep_alive=False).whole(400, [], b"")
            self.close()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(self._parser.get_method().decode(), path, query, self._headers, b"".join(self._body))
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None:
            self._next()

    # the answer's side

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def _next(self) -> None:
        request, keep_alive = self._waiting.popleft()
        self._task = asyncio.get_running_loop().create_task(self._answer(request, keep_alive))

    async def _answer(self, request: Request, keep_alive: bool) -> None:
        reply = Reply(self, keep_alive)
        await self._serve(request, reply)
        self._task = None
        if reply.cut_off or not keep_alive:
            self.close()
        elif self._waiting:
            self._next()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
