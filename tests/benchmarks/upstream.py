"""The provider under the benchmarks: fixed answers at once, or streams at a steady pace, at the least possible cost.

`python -m tests.benchmarks.upstream [--cert FILE --key FILE]`. The model says what is wanted: `bench-whole` one
answer; `bench-stream` 200 events 5 ms apart; `bench-open` one event, then silence until the client leaves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
from typing import Any, Final, cast

import uvloop

EVENTS: Final = 200
GAP: Final = 0.005
USAGE: Final = {"prompt_tokens": 250, "completion_tokens": EVENTS, "total_tokens": 250 + EVENTS}


def _chunk(**fields: Any) -> bytes:
    head = {"id": "chatcmpl-fixed", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "fixed"}
    event = b"data: " + json.dumps(head | fields, separators=(",", ":")).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


def _whole() -> bytes:
    message = {"role": "assistant", "content": "a fixed answer of a few words " * 20}
    answer = {
        "id": "chatcmpl-fixed",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "fixed",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


WHOLE: Final = _whole()
HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT: Final = _chunk(choices=[{"index": 0, "delta": {"content": " word"}, "finish_reason": None}])
LAST: Final = (
    _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _chunk(choices=[], usage=USAGE)
    + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
)


class Provider(asyncio.Protocol):
    """One connection; reads just enough HTTP to know where a sized request ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._due: asyncio.TimerHandle | None = None

    def connection_lost(self, _error: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, end)
        length = int(self._buffer[at + 15 : self._buffer.index(b"\r\n", at)]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        ends = self._buffer[end : end + 400] + self._buffer[-400:]
        self._buffer = b""
        self._answer(ends)

    def _answer(self, ends: bytes) -> None:
        """`ends`: where in a body the model may stand."""
        if b"bench-whole" in ends:
            self._transport.write(WHOLE)
            return
        self._transport.write(HEAD + EVENT)
        if b"bench-stream" in ends:
            self._due = self._loop.call_later(GAP, self._tick, EVENTS - 1)

    def _tick(self, left: int) -> None:
        if left == 0:
            self._transport.write(LAST)
            return
        self._transport.write(EVENT)
        self._due = self._loop.call_later(GAP, self._tick, left - 1)


async def _serve(context: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, ssl=context, backlog=4096)
    print("listening on", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    context = None
    if arguments.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.cert, arguments.key)
    uvloop.run(_serve(context))


if __name__ == "__main__":
    main()
