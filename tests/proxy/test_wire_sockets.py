"""Both wires together on real sockets: client, our two protocols, provider."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from keyvault.errors import Refusal
from keyvault.proxy.http1 import BodyBudget, Exchange, Limits, ServerConnection
from keyvault.proxy.upstream import Origin, Pool, UpstreamFailure
from tests.proxy.certificates import Authority

GET = b"GET /v1/models HTTP/1.1\r\nHost: gw\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Passage:
    """The plainest gateway: passes an answer on as it comes, and nothing else."""

    def __init__(self, port: int) -> None:
        self.pool = Pool(connect_timeout=5, environ={})
        self.origin = Origin("http", "127.0.0.1", port, allow_private=True)
        self.bodies = BodyBudget(1 << 30)
        self.connections: set[ServerConnection] = set()
        self.admit: Callable[[Exchange], None] = lambda exchange: None
        self.port = 0

    async def serve(self, exchange: Exchange) -> None:
        connection = await self.pool.acquire(self.origin)
        through = Through(exchange)
        exchange.flow = connection
        request = exchange.request
        head = b"%b %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
        connection.send(
            head % (request.method.encode(), request.target.encode(), len(request.body)), request.body, through
        )
        try:
            await through.done
        except asyncio.CancelledError:
            connection.close()
            raise

    def refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        exchange.reply(refusal.status, [], refusal.message.encode())


class Through:
    """Pours a provider's answer into a client's exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._exchange.start(status, [], length=None)

    def on_data(self, data: bytes) -> None:
        self._exchange.send(data)

    def shortcut(self) -> None:
        return None

    def on_end(self) -> None:
        self._exchange.flow = None
        self._exchange.finish()
        self.done.set_result(None)

    def on_failure(self, error: UpstreamFailure) -> None:
        self._exchange.abort()
        self.done.set_result(None)


@contextlib.asynccontextmanager
async def passage(
    provider: Serve, *, limits: Limits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Passage]:
    loop = asyncio.get_running_loop()
    behind = await asyncio.start_server(provider, "127.0.0.1", 0)
    gateway = Passage(behind.sockets[0].getsockname()[1])
    limits = limits or Limits()

    def accept() -> ServerConnection:
        return ServerConnection(gateway, limits, gateway.bodies, gateway.connections)

    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=tls)
    gateway.port = server.sockets[0].getsockname()[1]
    try:
        yield gateway
    finally:
        server.close()
        for connection in tuple(gateway.connections):
            connection.cut()
        gateway.pool.close()
        await until(lambda: not gateway.connections)
        behind.close()


async def until(holds: Callable[[], object]) -> None:
    """What happens in the loop cannot be awaited from outside; looks again at each of its turns."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def answers_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
    writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer with chunks or a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    if b"content-length: " in head:
        return head, await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return head, body


async def test_requests_pass_on_kept_connections_on_both_sides() -> None:
    async with passage(answers_hello) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for _ in range(5):
            writer.write(GET)
            head, body = await read_answer(reader)
            assert (head[:15], body) == (b"HTTP/1.1 200 OK", b"hello")
        assert gateway.pool.idle == 1
        writer.close()


async def test_a_large_upload_that_is_refused_gets_to_read_why() -> None:
    """Were the connection just closed, the reset would overtake the answer."""

    def refuse(exchange: Exchange) -> None:
        raise Refusal(401, "invalid_api_key", "no such key")

    async with passage(answers_hello) as gateway:
        gateway.admit = refuse
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 30000000\r\n\r\n")
        for _ in range(30):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
        head, body = await read_answer(reader)
        assert head.startswith(b"HTTP/1.1 401 ")
        assert body == b"no such key"
        assert await reader.read() == b""
        writer.close()
        assert gateway.bodies.held == 0


async def test_a_provider_is_not_read_faster_than_the_client_reads() -> None:
    written = 0
    total = 64 * 1024 * 1024

    async def pours(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        with contextlib.suppress(ConnectionError):
            while written < total:
                writer.write(b"x" * 65536)
                await writer.drain()
                written += 65536
        writer.close()

    async with passage(pours) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
        writer.write(GET)
        before = -1
        while written != before:  # until it stands still
            before = written
            await asyncio.sleep(0.2)
        assert 0 < written < total / 3
        received = 0
        while received < total and (data := await reader.read(1 << 20)):
            received += len(data)
        assert received >= total
        writer.close()


async def test_a_client_that_leaves_ends_the_provider_s_work_at_once() -> None:
    ended = asyncio.Event()

    async def streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    async with passage(streams) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(GET + GET)  # with a second one waiting
        await reader.readuntil(b"hello\r\n")
        writer.close()
        async with asyncio.timeout(5):
            await ended.wait()
        await until(lambda: not gateway.connections)


async def test_a_storm_of_cancelled_requests_leaves_the_pool_sound() -> None:
    async def sleeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"/slow" not in head:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        writer.close()

    async with passage(sleeps) as gateway:

        async def leave() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(GET.replace(b"/v1/models", b"/slow"))
            await writer.drain()
            writer.transport.abort()

        for _ in range(4):
            await asyncio.gather(*(leave() for _ in range(50)))
        await until(lambda: not gateway.connections)
        assert gateway.pool.idle == 0
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(GET)
        assert (await read_answer(reader))[1] == b"hello"
        writer.close()


async def test_an_old_client_sees_a_reset_where_its_answer_broke_off() -> None:
    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async with passage(breaks_off) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while await reader.read(100):
                pass
        writer.close()


async def test_a_client_that_sends_a_byte_at_a_time_is_timed_out_by_the_sweep() -> None:
    async with passage(answers_hello, limits=Limits(head_timeout=0.05)) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET / HTTP/1.1\r\nX")
        await until(lambda: gateway.connections)
        loop = asyncio.get_running_loop()
        began = loop.time()

        def swept() -> bool:
            for connection in tuple(gateway.connections):
                connection.check(loop.time())
            return loop.time() > began + 0.2

        await until(swept)
        assert (await read_answer(reader))[0].startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_clients_may_come_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    def refuse(exchange: Exchange) -> None:
        if exchange.request.method == "POST":
            raise Refusal(401, "invalid_api_key", "no such key")

    async with passage(answers_hello, tls=authority.server("127.0.0.1")) as gateway:
        gateway.admit = refuse
        trusting = ssl.create_default_context(cafile=str(authority.file))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=trusting)
        for _ in range(2):
            writer.write(GET)
            assert (await read_answer(reader))[1] == b"hello"
        writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await read_answer(reader))[0].startswith(b"HTTP/1.1 401 ")
        writer.transport.abort()
        await until(lambda: not gateway.connections)
