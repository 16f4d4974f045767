"""The life of a client's connection: head, body, answer, and again, until one side has had enough.

Guarantees: requests are answered one at a time and in order; what arrives meanwhile is held up to a bound and never
stops us from reading, so that a client that leaves is noticed at once and the work on its request cancelled; every
state has a time limit, enforced by `check`, which the server calls every 0.25 s; after an early refusal the input is
read and dropped for a while, so that the client gets to see the answer instead of a reset.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Final, cast

from keyvault.errors import Refusal
from keyvault.proxy.http1.attendant import Attendant
from keyvault.proxy.http1.body import BodyReader, ChunkedBody, SizedBody
from keyvault.proxy.http1.exchange import Exchange, Handler
from keyvault.proxy.http1.familiar import Familiar
from keyvault.proxy.http1.head import CHUNKED, HeadReader, Request
from keyvault.proxy.http1.limits import BodyBudget, Limits
from keyvault.proxy.http1.outlet import Outlet

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NEVER: Final = float("inf")


class _State(Enum):
    HEAD = auto()
    """Between requests, or within a head."""
    BODY = auto()
    """Within a body; its exchange may have been refused already, then the rest is dropped."""
    SERVING = auto()
    """The handler is at work."""


_HEAD, _BODY, _SERVING = _State
"""Looking a member up in its enum takes as long as a call."""


class ServerConnection(asyncio.Protocol):
    """One client. `connections` holds it while it is open or its handler at work."""

    def __init__(
        self, handler: Handler, limits: Limits, bodies: BodyBudget, connections: set[ServerConnection]
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._bodies = bodies
        self._connections = connections
        self._peer = ""
        self._state = _HEAD
        self._input = b""
        self._head: HeadReader | None = None
        self._familiar = Familiar(limits)
        self._body: BodyReader | None = None
        self._exchange: Exchange | None = None
        self._held = 0
        """Bytes of the body budget taken by the body that is being served."""
        self._flooded = False
        """More was pipelined than is held; the surplus is dropped."""
        self._held_back: Refusal | None = None
        """Decided, but said only once the deadline is over."""
        self._deadline = _NEVER
        self._body_since = 0.0
        self._outlet: Outlet
        self._attendant: Attendant

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._loop = asyncio.get_running_loop()
        self._outlet = Outlet(cast(asyncio.Transport, transport), self._loop, self._limits)
        self._attendant = Attendant(self._loop, self._handler.serve, self._served)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._deadline = self._loop.time() + self._limits.head_timeout
        full = len(self._connections) >= self._limits.max_connections
        self._connections.add(self)
        if full:
            self._refuse(Refusal(503, "overloaded", "too many connections", type="server_error", retry_after_seconds=1))

    def data_received(self, data: bytes) -> None:
        self._input = self._input + data if self._input else data
        self._advance()

    def eof_received(self) -> None:
        """A client that closes its half has left: there is nobody to tell when it closes the other."""
        if self._attendant.busy and self._exchange is not None and not self._exchange.finished:
            self.cut()
        else:
            self._outlet.watch()

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()
        if not self._attendant.busy:
            self._forget()

    def pause_writing(self) -> None:
        self._outlet.pause()
        if self._exchange is not None and self._exchange.flow is not None:
            self._exchange.flow.pause_reading()

    def resume_writing(self) -> None:
        self._outlet.resume()
        if self._exchange is not None and self._exchange.flow is not None:
            self._exchange.flow.resume_reading()
        self._advance()

    # What the server calls.

    def check(self, now: float) -> None:
        """Ends what has taken too long."""
        if self._outlet.has_stalled(now):
            self._outlet.abort()
        elif now < self._deadline:
            return
        elif self._outlet.done:
            if not self._outlet.paused:  # else the client still takes its answer
                self._outlet.abort()
        elif self._held_back is not None:
            self._refuse(self._held_back)
        elif self._state is _HEAD and self._head is None:
            self._close()
        else:
            self._refuse(Refusal(408, "request_timeout", "the request did not arrive in time"))

    def drain(self) -> None:
        """Takes no further request: closes now if idle, else behind the answer under way."""
        self._outlet.keep_alive = False
        if self._state is _HEAD and self._head is None and not self._outlet.done:
            self._close()

    def cut(self) -> None:
        """Ends everything now, as if the client had left."""
        self._leave()
        self._outlet.abort()

    # From here on: our own.

    def _advance(self) -> None:
        """Works through the input as far as it goes now."""
        try:
            while self._input:
                if self._outlet.done or self._flooded or self._held_back is not None:
                    self._input = b""
                elif self._state is _BODY:
                    self._read_body()
                elif self._state is _HEAD and not self._outlet.paused:
                    self._read_head()
                else:
                    self._hold()
                    return
        except Refusal as refusal:
            self._refuse(refusal)

    def _hold(self) -> None:
        """Lets further requests wait. Reading never stops, or a client that leaves would not be noticed."""
        # With the answer out and our handler about to return, what comes is the next request, not pipelining.
        answered = self._exchange is not None and self._exchange.finished
        if len(self._input) > self._limits.max_head + (self._limits.max_body if answered else 0):
            self._flooded = True
            self._outlet.keep_alive = False
            self._input = b""
            if not self._attendant.busy:  # the last answer is out, and still being taken
                self._linger()

    def _read_head(self) -> None:
        if self._head is None:
            now = self._loop.time()
            if known := self._familiar.recognise(self._input, now):
                request, self._input = known
                self._begin(request)
                return
            self._deadline = now + self._limits.head_timeout
            self._head = HeadReader(Request(peer=self._peer, started=now), self._limits)
        data, self._input = self._input, b""
        rest = self._head.feed(data)
        if rest is not None:
            request, head, self._head, self._input = self._head.request, self._head.head, None, rest
            self._familiar.learn(head, request)
            self._begin(request)

    def _begin(self, request: Request) -> None:
        """The head is there: ask the handler, then go on to the body."""
        self._outlet.keep_alive = self._outlet.keep_alive and request.keep_alive
        self._state = _BODY
        self._exchange = exchange = Exchange(self._outlet, request)
        length = request.body_length
        try:
            self._handler.admit(exchange)
        except Refusal as refusal:
            if refusal.hold_seconds or request.expects_continue or not 0 <= length <= self._limits.drainable:
                raise
            self._handler.refuse(exchange, refusal)
        except Exception as error:  # noqa: BLE001 - a mistake in the handler is not the client's to guess
            raise self._mistaken(error) from None
        if length == CHUNKED:
            self._body = ChunkedBody(self._limits, self._bodies)
        elif length <= len(self._input):
            self._bodies.take(length)
            self._held = length
            body, self._input = self._input[:length], self._input[length:]
            self._body_complete(body)
            return
        else:
            self._body = SizedBody(length, self._bodies)
        self._body_since = 0.0
        if not self._input:
            if request.expects_continue:
                self._outlet.write(_CONTINUE)
            self._expect_more()

    def _read_body(self) -> None:
        assert self._body is not None
        data, self._input = self._input, b""
        rest = self._body.feed(data)
        if rest is None:
            self._expect_more()
        else:
            self._input = rest
            self._held, body, self._body = self._body.taken, self._body.body(), None
            self._body_complete(body)

    def _expect_more(self) -> None:
        """Sets the time by which more of the body must have come: soon, and fast enough over all."""
        now, patience = self._loop.time(), self._limits.body_timeout
        self._body_since = self._body_since or now
        taken = self._body.taken if self._body is not None else 0
        self._deadline = min(now, self._body_since + taken / self._limits.slowest_body) + patience

    def _body_complete(self, body: bytes) -> None:
        assert self._exchange is not None
        if self._exchange.finished:  # refused at its head
            self._next_request()
            return
        self._exchange.request.body = body
        self._state = _SERVING
        self._deadline = _NEVER
        self._attendant.take(self._exchange)

    def _served(self, error: Exception | None) -> None:
        assert self._exchange is not None
        if error is not None:
            self._failed(self._exchange, error)
        if not self._exchange.finished:
            self._exchange.abort()
        if self._outlet.gone:
            self._forget()
            return
        self._next_request()
        if self._input:
            self._loop.call_soon(self._advance)

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        """Answers, where that is still possible, what the handler did not."""
        if not isinstance(error, Refusal):
            error = self._mistaken(error)
        if not exchange.started and not self._outlet.gone:
            self._handler.refuse(exchange, error)

    def _mistaken(self, error: Exception) -> Refusal:
        """What the client is told of an error that nobody foresaw; the log gets it whole."""
        self._loop.call_exception_handler({"message": "serving a request failed", "exception": error})
        return Refusal(500, "internal_error", "the gateway failed on this request", type="server_error")

    def _next_request(self) -> None:
        self._let_go()
        if self._outlet.done:
            return
        if self._flooded:
            self._linger()
        elif not self._outlet.keep_alive:
            self._close()
        else:
            self._state = _HEAD
            self._deadline = self._loop.time() + self._limits.keep_alive_timeout

    def _refuse(self, refusal: Refusal) -> None:
        """Answers what cannot be read on, and closes; a refusal that is held back comes up again from `check`."""
        self._outlet.keep_alive = False
        if refusal.hold_seconds:
            self._deadline = self._loop.time() + refusal.hold_seconds
            self._held_back, refusal.hold_seconds = refusal, 0.0
            return
        self._held_back = None
        exchange = self._exchange
        if exchange is None:
            request = self._head.request if self._head is not None else Request(peer=self._peer)
            exchange = Exchange(self._outlet, request)
        if not exchange.started:
            self._handler.refuse(exchange, refusal)
        self._linger()

    def _linger(self) -> None:
        """Goes on reading for a while, and drops it."""
        self._outlet.say_goodbye()
        self._let_go()
        self._head = None
        self._deadline = self._loop.time() + self._limits.linger_timeout

    def _close(self) -> None:
        """Closes once everything is written; a client that does not read is cut off by `check`."""
        self._outlet.close()
        self._deadline = _NEVER

    def _leave(self) -> None:
        """The client is gone: whatever is being done for it stops now, unless it is complete."""
        self._outlet.leave()
        self._input = b""
        if self._attendant.busy and self._exchange is not None and not self._exchange.finished:
            self._attendant.stop()

    def _forget(self) -> None:
        self._attendant.stop()
        self._let_go()
        self._connections.discard(self)

    def _let_go(self) -> None:
        """Give back what the body took, and forget the exchange and what it has of its caller, who holds it in turn:
        rings that are left to the collector cost a tenth of a request's time."""
        if self._body is not None:
            self._held, self._body = self._held + self._body.taken, None
        self._bodies.held -= self._held
        self._held = 0
        if self._exchange is not None:
            self._exchange.caller = None
            self._exchange = None
