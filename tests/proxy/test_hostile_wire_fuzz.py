"""Differential fuzz: whatever we accept, h11 reads in the same way, byte for byte.

10,000 examples in the suite, always the same; more, and new ones, by command:

    HOSTILE_WIRE_EXAMPLES=1000000 python -m pytest tests/proxy/test_hostile_wire_fuzz.py --timeout 0
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyvault.proxy.http1 import Limits, Request
from tests.proxy.wire import read_in

EXAMPLES = int(os.environ.get("HOSTILE_WIRE_EXAMPLES", "10000"))
_ENDS = [b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\r\n ", b"", b" \r\n"]
_METHODS = [b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"get", b"G\0T", b""]
_TARGETS = [
    b"/", b"/v1/chat/completions", b"/a?b=c", b"/?", b"*", b"http://x/", b"x:1", b"/a b", b"", b"//x", b"/%00",
    b"/\xff", b"/\x7f",
]  # fmt: skip
_VERSIONS = [b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1,1", b""]
_HOSTS = [b"Host: gw\r\n", b"", b"host:gw\r\n", b"Host: gw\n", b"Host: gw\r\nHost: gw\r\n"]
_FRAMING = [
    b"Content-Length: 5", b"Transfer-Encoding: chunked", b"content-length:0", b"Content-Length: 05",
    b"Content-Length: 5, 5", b"Content-Length: -1", b"Content-Length: 1e1", b"Content-Length: 99999999999999999999",
    b"CONTENT-LENGTH: 3 \t", b"Content-Length:", b"Content-Length : 5", b"Content-Length\t: 5",
    b"Content-Length: 5\r\nContent-Length: 5", b"transfer-encoding:Chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: , chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked;x",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding : chunked", b"Transfer_Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked", b"X: 1\rTransfer-Encoding: chunked",
]  # fmt: skip
_HEADERS = [
    b"X-A: 1", b"x_b:a b \t", b"X:\ta\tb", b"a!#$%&'*+-.^`|~9: x", b"X: \xff\xfe", b'X: "a, b"; c',
    b"X: " + b"x" * 300, b"X:" + b" " * 50, b"Connection: close", b"Connection: keep-alive, Content-Length",
    b"Upgrade: websocket", b"Expect: 100-continue", b"Connection: upgrade", b"Trailer: x", b"TE: trailers",
    b"Host: evil", b"Host:", b"X A: 1", b": 1", b"X\xe9: 1", b"X\0: 1", b"(x): 1", b"X", b"X: a\0b", b"X: a\x0bb",
    b"X: \x7f", b"X: a\x01", b" X: 1", b"\tX: 1",
]  # fmt: skip
_SIZED_BODIES = [b"hello", b"hel", b"hello world", b"", b"\r\n", b"\x00\xff\r\n5"]
_CHUNK_SIZES = [
    b"5", b"05", b"0x5", b"-1", b"5 ", b" 5", b"", b"g", b"5;x", b'5;x="y"', b"5;\0", b"f" * 17, b"0", b"3", b"A",
]  # fmt: skip
_LAST_CHUNKS = [
    b"0\r\n\r\n", b"0\r\nX: 1\r\n\r\n", b"000\r\n\r\n", b"0;x\r\nAuthorization: y\r\n\r\n",
    b"0\r\nX: 1\r\n y\r\n\r\n", b"0\r\n\n", b"0\n\n", b"0\r\n", b"0\r\nX\r\n\r\n",
    b"0\r\nContent-Length: 1\r\n\r\n", b"0\r\nX:\0\r\n\r\n", b"0\r\n:\r\n\r\n", b"",
]  # fmt: skip


class Choices:
    """Turns drawn bytes into choices: one draw an example is quick, and it shrinks towards what is right (zeros)."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = iter(drawn)

    def number(self) -> int:
        return next(self._drawn, 0)

    def any(self, alternatives: list[bytes]) -> bytes:
        return alternatives[self.number() % len(alternatives)]

    def mostly_first(self, alternatives: list[bytes]) -> bytes:
        return alternatives[0] if self.number() < 236 else self.any(alternatives)

    def request(self) -> bytes:
        line = b" ".join((self.any(_METHODS[:3]), self.mostly_first(_TARGETS), self.mostly_first(_VERSIONS)))
        if self.number() > 230:
            line = b" ".join((self.any(_METHODS), self.any(_TARGETS), self.any(_VERSIONS)))
        head = line + self.mostly_first(_ENDS) + self.mostly_first(_HOSTS)
        for _ in range(self.number() % 3):
            head += self.any(_HEADERS[:8] if self.number() < 128 else _HEADERS) + self.mostly_first(_ENDS)
        kind = self.number()
        if kind < 60:
            return head + self.mostly_first(_ENDS) + self.mostly_first([b"", b"hello"])
        if kind < 130:
            return head + b"Content-Length: 5\r\n\r\n" + self.mostly_first(_SIZED_BODIES)
        if kind < 200:
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + self.chunks()
        body = self.chunks() if self.number() % 2 else self.any(_SIZED_BODIES)
        return head + self.any(_FRAMING) + self.mostly_first(_ENDS) + self.mostly_first(_ENDS) + body

    def chunks(self) -> bytes:
        chunks = b""
        for _ in range(self.number() % 3):
            size = self.mostly_first(_CHUNK_SIZES)
            chunks += size + self.mostly_first(_ENDS) + self.mostly_first(_SIZED_BODIES) + self.mostly_first(_ENDS)
        return chunks + (self.any(_LAST_CHUNKS[:4]) if self.number() < 200 else self.any(_LAST_CHUNKS))


def read_by_h11(data: bytes) -> list[tuple[str, str, list[tuple[bytes, bytes]], bytes]]:
    """The complete requests at the front of `data`, as h11 reads them; stops at the first fault."""
    read = []
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    parser.receive_data(data)
    while True:
        body = b""
        request: h11.Request | None = None
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return read
            if isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return read
        assert request is not None
        read.append((request.method.decode(), request.target.decode(), list(request.headers), body))
        # h11 waits for an answer before it reads on, or for the close; we want to know what it makes of the rest.
        rest = parser.trailing_data[0]
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        parser.receive_data(rest)


def as_h11_says(request: Request) -> tuple[str, str, list[tuple[bytes, bytes]], bytes]:
    assert request.target.partition("?")[::2] == (request.path, request.query)
    headers = [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in request.headers]
    return request.method, request.target, headers, request.body


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.timeout(300)
@settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES == 10_000,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(drawn=st.binary(min_size=64, max_size=64))
def test_whatever_is_accepted_h11_reads_in_the_same_way(runner: asyncio.Runner, drawn: bytes) -> None:
    choices = Choices(drawn)
    cuts = [choices.number() for _ in range(choices.number() % 4)]
    data = b"".join(choices.request() for _ in range(1 + choices.number() % 2)) + bytes(choices.number() % 2)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    wire = runner.run(read_in(pieces, Limits(max_head=4096, max_body=4096)))
    accepted = [as_h11_says(request) for request in wire.handler.served]
    assert accepted == read_by_h11(data)[: len(accepted)]
    assert all(status < 500 or status in (501, 505) for status in wire.statuses)
    assert len(wire.statuses) >= len(accepted)
    assert wire.bodies.held <= 4096
