"""A gateway that is talked to in raw bytes, as attackers do."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion


class Answer(NamedTuple):
    """What came back on a connection, without what differs from request to request."""

    status: int
    headers: str
    body: str


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion())


@contextlib.asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[Running, Provider]]:
    """A gateway in front of one provider that answers well."""
    async with Provider(answer_well).running() as provider:
        home = new_home(tmp_path / "home")
        add_upstream(home, "openai", provider.url)
        async with running(home) as gw:
            yield gw, provider


async def talk(gw: Running, data: bytes) -> bytes:
    """All that the gateway answers to some bytes until it closes; the client only listens then."""
    host, _, port = gw.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 15)
    except (ConnectionResetError, BrokenPipeError):
        return b""
    finally:
        writer.close()


async def ask(gw: Running, *authorization: bytes) -> Answer:
    """The answer to a chat request with these header lines."""
    body = b'{"model":"m","messages":[]}'
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: gw", b"connection: close", *authorization]
    head = b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", b""])
    return parsed(await talk(gw, head + body))


def parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", head)
    assert status, answer[:200]
    request_id = re.search(rb"x-request-id: (\S+)", head)
    shown = [text.decode("latin-1") for text in (head, body)]
    if request_id:
        shown = [text.replace(request_id[1].decode(), "ID") for text in shown]
    return Answer(int(status[1]), *shown)
