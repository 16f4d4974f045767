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
from typing import Final, NamedTuple

from tests.faults.speech import SPEECH, Speech
from tests.proxy.certificates import Authority
from tests.proxy.scripted import Line, Provider, Seen

WORD: Final = "broken"
"""What the breaking provider says as far as it gets."""
SOUND: Final = "sound"
"""What the sound provider answers."""


class Asked(NamedTuple):
    """What was asked for."""

    stream: bool
    speech: Speech


Fault = Callable[[Line, Asked], Awaitable[None]]
"""Breaks one answer."""


async def slow_headers(line: Line, asked: Asked) -> None:
    """Takes the request and says nothing."""
    await line.left()


async def slow_body(line: Line, asked: Asked) -> None:
    """Begins, and goes on so slowly that there never is any content: spaces before the JSON, comments in a stream."""
    if asked.stream:
        await line.begin_stream()
    else:
        await line.send(_head("application/json"))
    await _again(line, asked, b": wait\n\n" if asked.stream else b" ", every=0.1)


async def stalled(line: Line, asked: Asked) -> None:
    """Says a word and falls silent."""
    await _first_word(line, asked)
    await line.left()


async def reset_before_content(line: Line, asked: Asked) -> None:
    """Breaks the connection after the head, and in a stream after the events before its content."""
    if asked.stream:
        await line.begin_stream()
        await line.piece(asked.speech.beginning)
    else:
        await line.send(_head("application/json"))
    line.cut()


async def reset_after_content(line: Line, asked: Asked) -> None:
    """Breaks the connection in the middle of what it says."""
    await _first_word(line, asked)
    await asyncio.sleep(0.1)  # a reset throws away what was not read yet
    line.cut()


async def truncated_json(line: Line, asked: Asked) -> None:
    """Ends properly, with JSON that does not: the whole answer, or the first event."""
    half = json.dumps(asked.speech.whole(WORD))[:60].encode()
    if asked.stream:
        await line.begin_stream()
        await line.piece(b"data: " + half + b"\n\n")
        await line.end_stream()
    else:
        await line.answer(200, half)


async def truncated_sse(line: Line, asked: Asked) -> None:
    """Ends properly as HTTP goes, after half an event. Where no stream was asked for, the body ends before its time."""
    await _first_word(line, asked)
    if asked.stream:
        await line.piece(asked.speech.word(WORD)[:-20])
        await line.end_stream()
    else:
        line.writer.close()


async def wrong_content_type(line: Line, asked: Asked) -> None:
    """A page for people, with status 200, as a proxy in between would send it."""
    page = b"<!doctype html><title>Welcome</title><p>Please log in to the network."
    await line.send(_head("text/html", len(page)) + page)


async def endless(line: Line, asked: Asked) -> None:
    """Never comes to an end: a stream goes on with words, a JSON text in its first value."""
    await _first_word(line, asked)
    word = asked.speech.word(".") if asked.stream else b"....................."
    await _again(line, asked, word, every=0.05)


async def empty_event_then_death(line: Line, asked: Asked) -> None:
    """An event without anything in it, and the end. Where no stream was asked for, an empty answer."""
    if asked.stream:
        await line.begin_stream()
        await line.piece(b"data: {}\n\n")
        line.writer.close()
    else:
        await line.answer(200, b"")


def refusing(status: int, *headers: str) -> Fault:
    """Refuses with a status, as OpenAI words it."""
    error = {"message": f"said {status}", "type": "server_error", "code": f"said_{status}", "param": None}

    async def refuse(line: Line, asked: Asked) -> None:
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


def model_of(fault: str, stream: bool, dialect: str) -> str:
    """The model that breaks so. Each row has its own: what one teaches of a target must not spare another."""
    return f"{dialect}/{'stream' if stream else 'whole'}/{fault.replace(' ', '-')}"


_BY_NAME: Final = {fault.replace(" ", "-"): breaks for fault, breaks in FAULTS.items()}


def _asked(seen: Seen) -> Asked:
    return Asked(seen.json.get("stream", False), SPEECH[seen.path.removeprefix("/v1/")])


async def _break(seen: Seen, line: Line) -> None:
    await _BY_NAME[seen.json["model"].rpartition("/")[2]](line, _asked(seen))


async def _serve(seen: Seen, line: Line) -> None:
    stream, speech = _asked(seen)
    if not stream:
        await line.answer(200, speech.whole(SOUND))
        return
    await line.begin_stream()
    for piece in (speech.beginning, speech.word(SOUND), speech.ending):
        await line.piece(piece)
    await line.end_stream()


@contextlib.asynccontextmanager
async def providers() -> AsyncIterator[tuple[Provider, Provider]]:
    """The one that breaks and the one that is sound."""
    async with Provider(_break).running() as broken, Provider(_serve).running() as sound:
        yield broken, sound
    for _ in range(10):
        await asyncio.sleep(0)  # those who served a connection that was cut now see it, and end


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


async def _first_word(line: Line, asked: Asked) -> None:
    """The beginning of an answer, its first content included."""
    if asked.stream:
        await line.begin_stream()
        await line.piece(asked.speech.beginning)
        await line.piece(asked.speech.word(WORD))
    else:
        text = json.dumps(asked.speech.whole(WORD)).encode()
        await line.send(_head("application/json") + text[: text.index(WORD.encode()) + 3])


async def _again(line: Line, asked: Asked, piece: bytes, *, every: float) -> None:
    """The same piece again and again, until nobody reads it any more."""
    left = asyncio.ensure_future(line.left())
    while not left.done():
        with contextlib.suppress(ConnectionError):
            await (line.piece(piece) if asked.stream else line.send(piece))
        await asyncio.wait([left], timeout=every)


def _head(content_type: str, length: int = 100_000) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n".encode()
