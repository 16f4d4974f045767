"""Making a target fail for the key of a drill, and for nobody else.

What a provider would do is done by a *double*: the other end of a socket pair in this process, with real bytes and a
real end of the connection, so that a drill takes the very path that a failure takes. No credential and no request
leaves for it. Only `slow` and `cut` use the provider itself, and so cost what they cost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Final, cast

from keyvault.clock import to_ms
from keyvault.domain.drills import Drill, Fault
from keyvault.domain.routes import Target
from keyvault.proxy.dialects.sse import SseFramer
from keyvault.proxy.relay import Relay
from keyvault.proxy.upstream import Origin, Pool, UpstreamConnection, UpstreamFailure

SLOW_SECONDS: Final = 10.0

_NOTHING: Final = (b"POST / HTTP/1.1\r\n\r\n", b"")
"""What a double is sent: neither the request nor a credential."""


def _answer(status: bytes, kind: bytes, body: bytes, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n" % (status, kind, len(body), more)
    return head + body


_ANSWERS: Final[Mapping[Fault, bytes]] = {
    Fault.LIMITED: _answer(
        b"429 Too Many Requests",
        b"application/json",
        b'{"error":{"message":"a drill: too many requests","type":"rate_limit_error","code":"rate_limit_exceeded"}}',
        b"retry-after: 60\r\n",
    ),
    Fault.SERVER: _answer(
        b"500 Internal Server Error",
        b"application/json",
        b'{"error":{"message":"a drill: the server failed","type":"server_error","code":"server_error"}}',
    ),
    Fault.GARBAGE: _answer(b"200 OK", b"text/html", b"<html><body>a drill: not what was asked for</body></html>"),
}


class Drilling:
    """The drills that run, in memory. `of` is asked only where there are any."""

    def __init__(self, drills: Sequence[Drill]) -> None:
        self._drills: dict[tuple[int, Target], tuple[Fault, int]] = {
            (drill.key_id, drill.target): (drill.fault, to_ms(drill.until)) for drill in drills
        }

    def __bool__(self) -> bool:
        return bool(self._drills)

    def of(self, key_id: int, target: Target, now_ms: int) -> Fault | None:
        """How a target fails for a key at a time; None where it does not."""
        fault, until_ms = self._drills.get((key_id, target), (None, 0))
        return fault if now_ms < until_ms else None


async def connect(fault: Fault, pool: Pool, origin: Origin, *, within: float, patient: float) -> UpstreamConnection:
    """A connection to a target that fails: to its double, or to the provider itself. Raises `UpstreamFailure` where the
    fault is that there is none, or that it takes longer than a first content is waited for. `patient`: so many seconds.
    """
    if fault is Fault.REFUSE:
        raise UpstreamFailure("connect_refused", "a drill: the connection was refused")
    if fault is Fault.SLOW:
        await asyncio.sleep(min(SLOW_SECONDS, patient))
        if patient <= SLOW_SECONDS:
            raise UpstreamFailure("first_content_timeout", f"a drill: no content within {patient:g} s")
    if fault.reaches_provider:
        return await pool.acquire(origin, within=within)
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    for end in (ours, theirs):
        end.setblocking(False)
    await loop.create_connection(lambda: _Double(_ANSWERS.get(fault)), sock=theirs)
    connection = UpstreamConnection(origin, UpstreamConnection.close)
    await loop.create_connection(lambda: connection, sock=ours)
    return connection


def send(fault: Fault, connection: UpstreamConnection, outgoing: tuple[bytes, bytes], relay: Relay) -> None:
    """Send a request to a target that fails."""
    if fault is Fault.CUT:
        connection.send(*outgoing, _Cut(relay, connection))
    else:
        connection.send(*(outgoing if fault.reaches_provider else _NOTHING), relay)


class _Double(asyncio.Protocol):
    """Answers whatever it gets with the same bytes, once; with None it hangs."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, _data: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self._transport.write(answer)


class _Cut:
    """Lets an answer through as far as its first content, or the half of it where it is no stream."""

    def __init__(self, relay: Relay, connection: UpstreamConnection) -> None:
        self._relay = relay
        self._connection = connection
        self._framer = SseFramer()
        self.on_head = relay.on_head
        self.on_end = relay.on_end
        self.on_failure = relay.on_failure

    def shortcut(self) -> None:
        return None

    def on_data(self, data: bytes) -> None:
        if not self._relay.streaming:
            self._relay.on_data(data[: len(data) // 2])
            self._break()
            return
        for event in self._framer.feed(data):
            self._relay.on_data(event)
            if self._relay.answering:
                self._break()
                return

    def _break(self) -> None:
        self._connection.close()
        self._relay.on_failure(UpstreamFailure("connection_lost", "a drill: the answer was cut", bytes_received=True))
