"""What the wire tests share: a transport in memory, and a handler that tells what it was given."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast

from keyvault.errors import Refusal
from keyvault.proxy.http1 import BodyBudget, Exchange, Limits, Request, ServerConnection
from keyvault.proxy.upstream import Shortcut, UpstreamFailure


class MemoryTransport(asyncio.Transport):
    """Keeps what is written. `unread` stands for bytes the other side has not taken yet."""

    def __init__(self, protocol: asyncio.Protocol, peer: str = "192.0.2.7") -> None:
        super().__init__({"peername": (peer, 50_000)})
        self._protocol = protocol
        self.written = bytearray()
        self.writes: list[bytes] = []
        self.unread = 0
        self.reading = True
        self.ended = False
        self.closing = False
        self.aborted = False
        self.lost = False
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "a write after the end"
        assert not self.lost, "a write to nobody: the real one raises"
        if not self.closing:
            self.writes.append(bytes(data))
            self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def receive(self, data: bytes) -> None:
        """Something has come from the other side."""
        self._protocol.data_received(data)

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.unread:
                asyncio.get_running_loop().call_soon(self.lose, None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        asyncio.get_running_loop().call_soon(self.lose, None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self.closing = True
            self._protocol.connection_lost(error)


class Recorder:
    """Answers every request with `echo`, or with what `answer` does; keeps what it saw."""

    def __init__(self) -> None:
        self.served: list[Request] = []
        self.exchanges: list[Exchange] = []
        self.refused: list[tuple[Refusal, Request]] = []
        self.cancelled = 0
        self.on_admit: Callable[[Exchange], None] = lambda exchange: None
        self.answer: Callable[[Exchange], Any] = echo

    def admit(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.on_admit(exchange)

    async def serve(self, exchange: Exchange) -> None:
        self.served.append(exchange.request)
        try:
            await self.answer(exchange)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        self.refused.append((refusal, exchange.request))
        exchange.reply(refusal.status, [], refusal.message.encode())


async def echo(exchange: Exchange) -> None:
    exchange.reply(200, [], exchange.request.body)


class Wire:
    """One client connection in memory."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        bodies: BodyBudget | None = None,
        connections: set[ServerConnection] | None = None,
    ) -> None:
        self.handler = Recorder()
        self.bodies = bodies or BodyBudget(1 << 30)
        self.connections: set[ServerConnection] = set() if connections is None else connections
        self.connection = ServerConnection(self.handler, limits or Limits(), self.bodies, self.connections)
        self.transport = MemoryTransport(self.connection)

    async def send(self, *pieces: bytes) -> bytes:
        """Feeds the pieces one after another and returns all that was answered so far."""
        for piece in pieces:
            if not self.transport.closing:
                self.connection.data_received(piece)
        await settled()
        return bytes(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        """Of the answers so far; only for answers whose bodies have no status line in them."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.transport.written)]


async def read_in(pieces: list[bytes], limits: Limits | None = None) -> Wire:
    """The wire after the pieces and whatever they set off."""
    wire = Wire(limits)
    for piece in pieces:
        await wire.send(piece)
    for _ in range(3):
        await wire.send()
    return wire


async def settled() -> None:
    """Lets everything that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


class Heard:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.ended = 0
        self.failure: UpstreamFailure | None = None
        self.done = asyncio.Event()

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        assert not self.status, "a second head"
        self.status, self.headers = status, headers

    def on_data(self, data: bytes) -> None:
        assert not self.ended
        self.body += data

    def shortcut(self) -> Shortcut | None:
        return None

    def on_end(self) -> None:
        self.ended += 1
        self.done.set()

    def on_failure(self, error: UpstreamFailure) -> None:
        assert self.failure is None
        self.failure = error
        self.done.set()
