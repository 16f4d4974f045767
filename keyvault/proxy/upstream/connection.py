"""One connection to a provider: a request out, its answer in by callbacks, then back to the pool by itself.

Guarantees: a sink hears `on_head` once, `on_data` any number of times, then exactly one of `on_end` and `on_failure`,
or nothing more after `close()`. An answer is complete only if its own framing says so. A connection that ended badly,
that the provider wants closed, or that carried a byte too many is never used again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final, cast

import httptools

from keyvault.proxy.upstream.origin import Origin, UpstreamFailure
from keyvault.proxy.upstream.sink import Headers, Shortcut, Sink

MAX_FRAMING: Final = 256 * 1024
"""Bytes of head, chunk lines or trailers between two pieces of an answer's body."""
MAX_HEADERS: Final = 256

_JOINED_UP_TO: Final = 64 * 1024
_NOTED: Final = frozenset((b"transfer-encoding", b"keep-alive"))
_DELIMITERS: Final = frozenset((b"content-length", b"transfer-encoding"))
_TIMEOUT = re.compile(rb"timeout=([0-9]{1,5})")


class _Bypass:
    """Stands in for a connection as its transport's protocol: what is read goes to a shortcut at once."""

    __slots__ = ("connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing")

    def __init__(self, connection: UpstreamConnection, shortcut: Shortcut) -> None:
        self.data_received = shortcut.take
        self.connection_lost = connection.connection_lost
        self.eof_received = connection.eof_received
        self.pause_writing = connection.pause_writing
        self.resume_writing = connection.resume_writing


class UpstreamConnection(asyncio.Protocol):
    """Made by the pool. `reused`: has carried an answer before, so that it may have died unnoticed."""

    def __init__(self, origin: Origin, release: Callable[[UpstreamConnection], None]) -> None:
        self.origin = origin
        self.reused = False
        self.expires = 0.0
        """Loop time until which the pool keeps it."""
        self.keep_for: float | None = None
        """Seconds for which the provider says it keeps the connection."""
        self.absolute_form: tuple[bytes, bytes | None] | None = None
        """For plain http through a proxy: what goes before each path, and the value of `Proxy-Authorization`."""
        self.loop: asyncio.AbstractEventLoop
        """Asked for once: that is a system call."""
        self._release = release
        self._transport: asyncio.Transport | None = None
        self._sink: Sink | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._paused = False
        self._shortcut: Shortcut | None = None
        """Only there while llhttp waits for a chunk to begin: what it does not see, leaves it there."""
        self._unsent = b""
        """Is written at the loop's next turn, one after the other with what others have to write: the steps of many
        requests run faster without the system's network code between them."""
        self._pieces: list[bytes] = []
        """Of the body, out of one read; they go on together, to be written together."""
        self._raw: Headers = []
        """Headers of a head that is not complete, as they came."""
        self._begin(without_body=False)

    def _begin(self, *, without_body: bool) -> None:
        """Forgets the last answer."""
        self._without_body = without_body
        self._head_done = False
        self._complete = False
        self._keep = False
        self._chunk_ended = False
        self._framing = 0
        self._headers: Headers = []

    # What the gateway calls.

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def pours_into(self, sink: Sink) -> bool:
        """Whether an answer for this sink has not ended here."""
        return self._sink is sink

    def send(self, head: bytes, body: bytes, sink: Sink) -> None:
        """Sends one request; `head` is the whole head, its empty line included."""
        transport = self._transport
        if transport is None or transport.is_closing():
            sink.on_failure(UpstreamFailure("connection_lost", "the provider closed the connection"))
            return
        self._begin(without_body=head.startswith(b"HEAD "))
        self._sink = sink
        if self.absolute_form is not None:
            head = _through_proxy(head, *self.absolute_form)
        if len(body) <= _JOINED_UP_TO:
            self._unsent = head + body
            self.loop.call_soon(self._write)
        else:
            transport.write(head)
            transport.write(body)

    def _write(self) -> None:
        transport, data, self._unsent = self._transport, self._unsent, b""
        if data and transport is not None and not transport.is_closing():
            transport.write(data)

    def pause_reading(self) -> None:
        if self._sink is not None and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends the provider's call at once; the sink hears nothing more."""
        self._sink = None
        self._pass_by(None)
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        if self._sink is None:  # a word out of turn: nothing good can follow
            self.close()
            return
        if self._unsent:
            if self.reused:  # what the last answer has too much: nothing that comes now is this request's
                self._fail("connection_lost", "the provider spoke before it was asked")
                return
            self._write()  # a provider that is busy may say so before it was asked
        self._framing += len(data)
        wrong = self._read(data)
        if self._pieces:
            body = b"".join(self._pieces)
            self._pieces.clear()
            self._sink.on_data(body)
        if wrong:
            self._fail("protocol_error", wrong)
        if self._complete:
            self._end()
        elif self._framing > MAX_FRAMING or (not self._head_done and len(self._raw) > MAX_HEADERS):
            what = "head" if self._head_too_large() else "head or framing"
            self._fail("protocol_error", f"the {what} of the provider's answer is too large")
        elif self._sink is not None:
            # A line that ends behind a chunk is the next chunk's first, and llhttp would have told of it.
            between_chunks = self._chunk_ended and data.endswith(b"\n")
            self._pass_by(self._sink.shortcut() if between_chunks else None)

    def _pass_by(self, shortcut: Shortcut | None) -> None:
        """Have what is read go to a shortcut, or here again."""
        if shortcut is self._shortcut:
            return
        self._shortcut = shortcut
        if shortcut is not None:
            shortcut.otherwise = self.data_received
        if self._transport is not None:
            self._transport.set_protocol(cast(asyncio.Protocol, _Bypass(self, shortcut)) if shortcut else self)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._sink is None:
            return
        if self._head_done and error is None and _DELIMITERS.isdisjoint(dict(self._headers)):
            self._complete = True
            self._end()
        else:
            self._fail("connection_lost", "the provider closed the connection before the end of its answer")

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self._complete:  # a word more than the answer
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # a trailer, or the surplus
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        if self._head_done or self._sink is None:
            return
        if len(self._raw) > MAX_HEADERS or (self._framing > MAX_FRAMING and self._head_too_large()):
            self._fail("protocol_error", "the head of the provider's answer is too large")
            return
        raw, self._raw = self._raw, []
        status = self._parser.get_status_code()
        if status < 200:
            return
        headers = self._headers
        for name, value in raw:
            name = name.lower()
            value = value.strip(b" \t")
            headers.append((name, value))
            if name in _NOTED and not self._note(name, value):
                return
        self._head_done = True
        self._sink.on_head(status, headers)
        if self._without_body:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
            # It waits for a body of the length announced, which does not come.
            self._parser = httptools.HttpResponseParser(self)

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._keep = False
        elif self._sink is not None:
            self._framing = 0
            self._pieces.append(data)

    def on_chunk_header(self) -> None:
        self._chunk_ended = False

    def on_chunk_complete(self) -> None:
        self._chunk_ended = True

    def on_message_complete(self) -> None:
        if self._head_done and not self._complete:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # From here on: our own.

    def _read(self, data: bytes) -> str:
        """Have llhttp read on, which calls what is above. What is wrong with the answer; empty where nothing is."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return "the provider changed protocols"
        except httptools.HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except httptools.HttpParserError as error:
            self._keep = False
            if not self._complete:
                return f"the provider's answer is not http: {str(error).lower()}"
        return ""

    def _note(self, name: bytes, value: bytes) -> bool:
        """Whether an answer with this header can be read."""
        if name == b"keep-alive":
            match = _TIMEOUT.search(value)
            self.keep_for = float(match[1]) if match else None
        elif value.lower() != b"chunked":
            self._fail("protocol_error", "the provider's answer has a transfer coding nobody asked for")
            return False
        return True

    def _head_too_large(self) -> bool:
        return (
            len(self._raw) > MAX_HEADERS or sum(len(name) + len(value) + 4 for name, value in self._raw) > MAX_FRAMING
        )

    def _end(self) -> None:
        sink, self._sink = self._sink, None
        if self._shortcut is not None:
            self._pass_by(None)
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if self._keep and not transport.get_write_buffer_size():
                if self._paused:
                    self.resume_reading()
                self.reused = True
                self._release(self)
            else:
                transport.abort()
        if sink is not None:
            sink.on_end()

    def _fail(self, code: str, text: str) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.on_failure(UpstreamFailure(code, text, bytes_received=self._head_done or self._framing > 0))


def _through_proxy(head: bytes, prefix: bytes, authorization: bytes | None) -> bytes:
    """The head in absolute-form, as a proxy wants it for plain http."""
    method, _, rest = head.partition(b" ")
    line, _, headers = rest.partition(b"\r\n")
    added = b"" if authorization is None else b"proxy-authorization: %b\r\n" % authorization
    return b"%b %b%b\r\n%b%b" % (method, prefix, line, added, headers)
