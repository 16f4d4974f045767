"""A provider that breaks in one certain way for each model, over real sockets; and one that is sound.

The model that a request names says how its answer breaks: `reset before content`, `429`, … (see `FAULTS`). What breaks
before a request can be read needs a place of its own: a port that refuses, one that never answers (`black_hole`), one
whose certificate nobody knows (`untrusted`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.proxy.certificates import Authority
from tests.proxy.scripted import Line, Provider, Seen, chunk, completion, usage_chunk

WORD: Final = "broken"
"""What the breaking provider says as far as it gets."""
SOUND: Final = "sound"
"""What the sound provider answers."""
USED: Final = (7, 3)
"""Tokens of input and output that the sound provider counts for each answer."""

Fault = Callable[[Line, bool], Awaitable[None]]
"""Breaks one answer, streaming or not."""


async def slow_headers(line: Line, stream: bool) -> None:
    """Takes the request and says nothing."""
    await line.left()


async def slow_body(line: Line, stream: bool) -> None:
    """Begins, and goes on so slowly that there never is any content: spaces before the JSON, comments in a stream."""
    if stream:
        await line.begin_stream()
    else:
        await line.send(_head("application/json"))
    await _again(line, b": wait\n\n" if stream else b" ", every=0.1)


async def stalled(line: Line, stream: bool) -> None:
    """Says a word and falls silent."""
    await _first_word(line, stream)
    await line.left()


async def reset_before_content(line: Line, stream: bool) -> None:
    """Breaks the connection after the head, and in a stream after the event that says who speaks."""
    if stream:
        await line.begin_stream()
        await line.event(chunk({"role": "assistant", "content": ""}))
    else:
        await line.send(_head("application/json"))
    line.cut()


async def reset_after_content(line: Line, stream: bool) -> None:
    """Breaks the connection in the middle of what it says."""
    await _first_word(line, stream)
    await asyncio.sleep(0.1)  # a reset throws away what was not read yet
    line.cut()


async def truncated_json(line: Line, stream: bool) -> None:
    """Ends properly, with JSON that does not: the whole answer, or the first event."""
    half = json.dumps(completion(WORD))[:60].encode()
    if stream:
        await line.begin_stream()
        await line.piece(b"data: " + half + b"\n\n")
        await line.end_stream()
    else:
        await line.answer(200, half)


async def truncated_sse(line: Line, stream: bool) -> None:
    """Ends properly as HTTP goes, after half an event. Where no stream was asked for, the body ends before its time."""
    await _first_word(line, stream)
    if stream:
        await line.piece(b'data: {"id": "chatcmpl-1", "choi')
        await line.end_stream()
    else:
        line.writer.close()


async def wrong_content_type(line: Line, stream: bool) -> None:
    """A page for people, with status 200, as a proxy in between would send it."""
    page = b"<!doctype html><title>Welcome</title><p>Please log in to the network."
    await line.send(_head("text/html", len(page)) + page)


async def endless(line: Line, stream: bool) -> None:
    """Never comes to an end: a stream goes on with words, a JSON text in its first value."""
    await _first_word(line, stream)
    word = f"data: {json.dumps(chunk({'content': '.'}))}\n\n".encode() if stream else b"....................."
    await _again(line, word, every=0.05)


async def empty_event_then_death(line: Line, stream: bool) -> None:
    """An event without anything in it, and the end. Where no stream was asked for, an empty answer."""
    if stream:
        await line.begin_stream()
        await line.piece(b"data: {}\n\n")
        line.writer.close()
    else:
        await line.answer(200, b"")


def refusing(status: int, *headers: str) -> Fault:
    """Refuses with a status, as OpenAI words it."""
    error = {"message": f"said {status}", "type": "server_error", "code": f"said_{status}", "param": None}

    async def refuse(line: Line, stream: bool) -> None:
        await line.answer(status, {"error": error}, *headers)

    return refuse


FAULTS: Final[Mapping[str, Fault]] = {
    "slow headers": slow_headers,
    "slow body": slow_body,
    "stalled after content": stalled,
    "reset before content": reset_before_content,
    "reset after content": reset_after_content,
    "truncated JSON": truncated_json,
    "truncated SSE": truncated_sse,
    "429 with Retry-After": refusing(429, "retry-after: 30"),
    "429": refusing(429),
    "500": refusing(500),
    "503": refusing(503),
    "529": refusing(529),
    "wrong content type": wrong_content_type,
    "endless": endless,
    "empty event, then death": empty_event_then_death,
}


def model_of(fault: str, stream: bool) -> str:
    """The model that breaks so. Each row has its own: what one teaches of a target must not spare another."""
    return f"{fault.replace(' ', '-')}/{'stream' if stream else 'whole'}"


_BY_MODEL: Final = {model_of(fault, stream): (FAULTS[fault], stream) for fault in FAULTS for stream in (False, True)}


async def _break(seen: Seen, line: Line) -> None:
    fault, stream = _BY_MODEL[seen.json["model"]]
    await fault(line, stream)


async def _serve(seen: Seen, line: Line) -> None:
    asked = seen.json
    if seen.path.endswith("/messages"):
        await _message(line, streaming=asked.get("stream", False))
    elif not asked.get("stream"):
        await line.answer(200, completion(SOUND, "m", *USED))
    else:
        await line.begin_stream()
        await line.event(chunk({"role": "assistant", "content": SOUND}))
        await line.event(chunk({}, finish="stop"))
        await line.event(usage_chunk(*USED))
        await line.event("[DONE]")
        await line.end_stream()


async def _message(line: Line, *, streaming: bool) -> None:
    """The sound answer as Anthropic gives it."""
    of_input, of_output = {"input_tokens": USED[0]}, {"output_tokens": USED[1]}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    text = {"type": "text", "text": SOUND}
    if not streaming:
        await line.answer(200, message | {"content": [text], "stop_reason": "end_turn", "usage": of_input | of_output})
        return
    await line.begin_stream()
    begun: dict[str, object] = message | {"content": [], "stop_reason": None, "usage": of_input | {"output_tokens": 1}}
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    for event in (
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SOUND}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": of_output},
        {"type": "message_stop"},
    ):
        await line.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    await line.end_stream()


@contextlib.asynccontextmanager
async def providers() -> AsyncIterator[tuple[Provider, Provider]]:
    """The one that breaks and the one that is sound."""
    async with Provider(_break).running() as broken, Provider(_serve).running() as sound:
        yield broken, sound


@contextlib.contextmanager
def refusing_port() -> Iterator[str]:
    """An origin where nobody listens, and nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """An origin that never answers a connection: its queue is full, and nobody takes from it."""
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.asynccontextmanager
async def untrusted(directory: Path) -> AsyncIterator[str]:
    """An origin whose certificate no authority of this machine has signed."""
    context = Authority(directory).server("127.0.0.1")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _first_word(line: Line, stream: bool) -> None:
    """The beginning of an answer, its first content included."""
    if stream:
        await line.begin_stream()
        await line.event(chunk({"role": "assistant", "content": WORD}))
    else:
        text = json.dumps(completion(WORD)).encode()
        await line.send(_head("application/json") + text[: text.index(WORD.encode()) + 3])


async def _again(line: Line, piece: bytes, *, every: float) -> None:
    """The same piece again and again, until nobody reads it any more."""
    left = asyncio.ensure_future(line.left())
    while not left.done():
        with contextlib.suppress(ConnectionError):
            await (line.piece(piece) if piece.startswith((b"data", b":")) else line.send(piece))
        await asyncio.wait([left], timeout=every)


def _head(content_type: str, length: int = 100_000) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n".encode()
