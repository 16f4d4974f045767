"""Getting to a provider and back: names, addresses, TLS, forward proxies, kept connections. Real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from keyvault.proxy.upstream import Origin, Pool, UpstreamFailure
from tests.proxy.certificates import Authority
from tests.proxy.wire import Heard

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Provider:
    """Answers each request head it reads; keeps the heads and its connections."""

    def __init__(self, answer: bytes = ANSWER) -> None:
        self.heads: list[bytes] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.answer = answer
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class ForwardProxy(Provider):
    """Speaks CONNECT and passes bytes to `target`; answers anything else as a provider does."""

    def __init__(self, target: Callable[[], int], status: bytes = b"200 Connection established") -> None:
        super().__init__()
        self._target = target
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if not head.startswith(b"CONNECT "):
            writer.write(self.answer)
            return
        writer.write(b"HTTP/1.1 " + self._status + b"\r\nProxy-Agent: test\r\n\r\n")
        if not self._status.startswith(b"200"):
            writer.close()
            return
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target())
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, onward_writer))
            group.create_task(_pass_on(onward_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    writer.close()


@contextlib.asynccontextmanager
async def listening(provider: Provider, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, ssl=tls)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for writer in provider.writers:
            writer.close()
        await server.wait_closed()


def resolver(*addresses: str) -> Callable[[str, int], object]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def pool(*addresses: str, environ: dict[str, str] | None = None, **options: float) -> Pool:
    """A pool whose every name resolves to `addresses`."""
    return Pool(
        connect_timeout=options.pop("connect_timeout", 5.0),
        environ=environ or {},
        resolver=resolver(*addresses),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    )


async def call(pool: Pool, origin: Origin, *, fresh: bool = False) -> Heard:
    connection = await pool.acquire(origin, fresh=fresh)
    heard = Heard()
    connection.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", b"", heard)
    await heard.done.wait()
    return heard


async def until(holds: Callable[[], object]) -> None:
    """What happens in the loop cannot be awaited from outside; looks again at each of its turns."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def failure(pool: Pool, origin: Origin) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await pool.acquire(origin)
    assert caught.value.text.isprintable()
    assert not caught.value.bytes_received
    return caught.value


def private(port: int, *, scheme: str = "http", host: str = "127.0.0.1", ca_file: Path | None = None) -> Origin:
    return Origin(scheme, host, port, allow_private=True, ca_file=str(ca_file) if ca_file else None)


# Kept connections.


async def test_a_connection_is_used_again() -> None:
    async with listening(Provider()) as provider:
        connections = pool()
        for _ in range(3):
            heard = await call(connections, private(provider.port))
            assert (heard.status, heard.body) == (200, b"hello")
        assert len(provider.writers) == 1
        assert connections.idle == 1
        connections.close()


async def test_a_fresh_connection_can_be_asked_for() -> None:
    async with listening(Provider()) as provider:
        connections = pool()
        await call(connections, private(provider.port))
        await call(connections, private(provider.port), fresh=True)
        assert len(provider.writers) == 2
        connections.close()


async def test_connections_of_another_origin_are_not_used() -> None:
    async with listening(Provider()) as provider:
        connections = pool()
        await call(connections, private(provider.port))
        await call(connections, Origin.parse(f"http://127.0.0.1:{provider.port}/other", allow_private=True))
        assert len(provider.writers) == 2
        connections.close()


async def test_a_connection_the_provider_has_closed_is_not_used_again() -> None:
    async with listening(Provider()) as provider:
        connections = pool()
        connection = await connections.acquire(private(provider.port))
        heard = Heard()
        connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", heard)
        await heard.done.wait()
        provider.writers[0].close()
        await until(lambda: not connection.usable)
        assert (await call(connections, private(provider.port))).status == 200
        assert len(provider.writers) == 2
        connections.close()


async def test_connections_that_wait_too_long_are_closed() -> None:
    async with listening(Provider()) as provider:
        connections = pool(idle_expiry=15.0)
        await call(connections, private(provider.port))
        now = asyncio.get_running_loop().time()
        connections.check(now + 14)
        assert connections.idle == 1
        connections.check(now + 16)
        assert connections.idle == 0


async def test_a_provider_that_says_how_long_it_keeps_a_connection_is_believed() -> None:
    answer = ANSWER.replace(b"\r\ncontent", b"\r\nkeep-alive: timeout=5, max=100\r\ncontent")
    async with listening(Provider(answer)) as provider:
        connections = pool(idle_expiry=15.0)
        await call(connections, private(provider.port))
        now = asyncio.get_running_loop().time()
        connections.check(now + 3.9)
        assert connections.idle == 1
        connections.check(now + 4.1)
        assert connections.idle == 0


async def test_no_more_connections_are_kept_than_allowed() -> None:
    async with listening(Provider()) as provider:
        connections = pool(max_idle_per_origin=1)
        both = [await connections.acquire(private(provider.port)) for _ in range(2)]
        for connection in both:
            heard = Heard()
            connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", heard)
            await heard.done.wait()
        assert connections.idle == 1
        connections.close()


async def test_a_closed_pool_keeps_nothing() -> None:
    async with listening(Provider()) as provider:
        connections = pool()
        connection = await connections.acquire(private(provider.port))
        connections.close()
        heard = Heard()
        connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", heard)
        await heard.done.wait()
        assert heard.ended == 1
        assert connections.idle == 0
        assert not connection.usable


async def test_closing_a_connection_is_seen_by_the_provider_at_once() -> None:
    left = asyncio.Event()

    class Slow(Provider):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.writers.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            left.set()

    async with listening(Slow()) as provider:
        connection = await pool().acquire(private(provider.port))
        heard = Heard()
        connection.send(b"GET / HTTP/1.1\r\n\r\n", b"", heard)
        await until(lambda: heard.body)
        connection.close()
        async with asyncio.timeout(5):
            await left.wait()
        assert (heard.ended, heard.failure) == (0, None)


# Addresses.


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0"])
async def test_a_private_address_is_refused(host: str) -> None:
    error = await failure(pool(), Origin("http", host, 80))
    assert error.code == "private_address"


async def test_a_name_that_resolves_to_a_private_address_is_refused_and_nothing_is_connected() -> None:
    async with listening(Provider()) as provider:
        for addresses in (["127.0.0.1"], ["127.0.0.1", "169.254.169.254"], ["::ffff:127.0.0.1"]):
            error = await failure(pool(*addresses), Origin("http", "rebound.example", provider.port))
            assert error.code == "private_address"
        assert provider.writers == []


async def test_a_name_that_changes_its_mind_after_the_check_gains_nothing() -> None:
    """The address that was checked is the one that is connected to: there is no second look-up to lie to."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) == 1 else ["127.0.0.1"]

    async with listening(Provider()) as provider:
        connections = Pool(connect_timeout=0.2, environ={}, resolver=resolve)
        error = await failure(connections, Origin("http", "rebound.example", provider.port))
        assert error.code in ("private_address", "connect_timeout", "connect_failed")
        assert asked == ["rebound.example"]
        assert provider.writers == []


async def test_an_upstream_that_may_be_private_may_have_a_name() -> None:
    async with listening(Provider()) as provider:
        connections = pool("127.0.0.1")
        assert (await call(connections, private(provider.port, host="ollama.lan"))).status == 200
        connections.close()


async def test_the_next_address_is_tried_when_one_refuses() -> None:
    async with listening(Provider()) as provider:
        connections = pool("127.0.0.2", "127.0.0.1")
        assert (await call(connections, private(provider.port, host="two.example"))).status == 200
        connections.close()


async def test_a_port_that_nobody_listens_on_is_connect_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failure(pool(), private(taken.getsockname()[1]))
    assert error.code == "connect_refused"


async def test_a_name_that_does_not_exist_is_a_dns_failure() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = await failure(
        Pool(connect_timeout=5, environ={}, resolver=resolve), Origin("https", "nowhere.example", 443)
    )
    assert (error.code, error.text) == ("dns_failure", "nowhere.example cannot be resolved: name or service not known")
    assert (await failure(pool(), Origin("https", "empty.example", 443))).code == "dns_failure"


async def test_a_resolver_that_hangs_is_a_connect_timeout() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    connections = Pool(connect_timeout=0.05, environ={}, resolver=resolve)
    assert (await failure(connections, Origin("https", "slow.example", 443))).code == "connect_timeout"


async def test_the_system_resolver_knows_this_machine() -> None:
    async with listening(Provider()) as provider:
        connections = Pool(connect_timeout=5, environ={})
        assert (await call(connections, private(provider.port, host="localhost"))).status == 200
        connections.close()


async def test_a_client_that_leaves_while_we_connect_leaves_no_connection_behind(authority: Authority) -> None:
    hello, closed = asyncio.Event(), asyncio.Event()

    async def never_shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        hello.set()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        closed.set()

    server = await asyncio.start_server(never_shake_hands, "127.0.0.1", 0)
    async with server:
        origin = private(server.sockets[0].getsockname()[1], scheme="https", ca_file=authority.file)
        attempt = asyncio.create_task(pool().acquire(origin))
        await hello.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        async with asyncio.timeout(5):
            await closed.wait()


# TLS.


async def test_a_provider_of_the_own_authority_is_trusted(authority: Authority) -> None:
    async with listening(Provider(), authority.server("api.example.com")) as provider:
        connections = pool("127.0.0.1")
        for _ in range(2):
            origin = private(provider.port, scheme="https", host="api.example.com", ca_file=authority.file)
            assert (await call(connections, origin)).body == b"hello"
        assert len(provider.writers) == 1
        connections.close()


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    async with listening(Provider(), authority.server("api.example.com")) as provider:
        error = await failure(pool("127.0.0.1"), private(provider.port, scheme="https", host="api.example.com"))
        assert error.code == "tls_error"
        assert "certificate not trusted" in error.text
        assert provider.heads == []


async def test_an_own_authority_replaces_the_system_s(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    async with listening(Provider(), authority.server("api.example.com")) as provider:
        origin = private(provider.port, scheme="https", host="api.example.com", ca_file=other.file)
        assert (await failure(pool("127.0.0.1"), origin)).code == "tls_error"


async def test_a_certificate_for_another_name_is_refused(authority: Authority) -> None:
    async with listening(Provider(), authority.server("other.example.com")) as provider:
        origin = private(provider.port, scheme="https", host="api.example.com", ca_file=authority.file)
        error = await failure(pool("127.0.0.1"), origin)
        assert error.code == "tls_error"
        assert "api.example.com" in error.text


async def test_an_address_is_verified_too(authority: Authority) -> None:
    async with listening(Provider(), authority.server("127.0.0.1")) as provider:
        connections = pool()
        origin = private(provider.port, scheme="https", ca_file=authority.file)
        assert (await call(connections, origin)).status == 200
        connections.close()


async def test_a_provider_that_speaks_no_tls_is_a_tls_error(authority: Authority) -> None:
    async with listening(Provider(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as provider:
        provider.answer = b""
        origin = private(provider.port, scheme="https", ca_file=authority.file)

        async def blurt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(blurt, "127.0.0.1", 0)
        async with server:
            origin = private(server.sockets[0].getsockname()[1], scheme="https", ca_file=authority.file)
            assert (await failure(pool(), origin)).code == "tls_error"


async def test_an_authority_file_that_is_missing_or_nonsense_is_a_tls_error(tmp_path: Path) -> None:
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    async with listening(Provider()) as provider:
        for file in (nonsense, tmp_path / "missing.pem"):
            error = await failure(pool(), private(provider.port, scheme="https", ca_file=file))
            assert error.code == "tls_error"
            assert "CA file" in error.text


# Forward proxies.


async def test_https_goes_through_a_tunnel_and_is_verified_end_to_end(authority: Authority) -> None:
    async with (
        listening(Provider(), authority.server("api.example.com")) as provider,
        listening(ForwardProxy(lambda: provider.port)) as proxy,
    ):
        connections = pool("127.0.0.1", environ={"HTTPS_PROXY": f"http://us%40er:pass@127.0.0.1:{proxy.port}"})
        origin = private(443, scheme="https", host="api.example.com", ca_file=authority.file)
        for _ in range(2):
            assert (await call(connections, origin)).body == b"hello"
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n")
        assert b"proxy-authorization: Basic dXNAZXI6cGFzcw==\r\n" in proxy.heads[0]
        assert all(b"proxy-authorization" not in head for head in provider.heads)
        error = await failure(connections, private(443, scheme="https", host="evil.example", ca_file=authority.file))
        assert error.code == "tls_error"
        connections.close()


async def test_plain_http_goes_through_a_proxy_in_absolute_form() -> None:
    async with listening(ForwardProxy(lambda: 0)) as proxy:
        connections = pool("127.0.0.1", environ={"http_proxy": f"127.0.0.1:{proxy.port}"})
        assert (await call(connections, private(8080, host="lan.example"))).body == b"hello"
        assert proxy.heads == [b"GET http://lan.example:8080/v1/models HTTP/1.1\r\nhost: x\r\n\r\n"]
        connections.close()


async def test_a_tls_proxy_is_verified_by_the_system_s_authorities(authority: Authority) -> None:
    async with listening(ForwardProxy(lambda: 0), authority.server("127.0.0.1")) as proxy:
        connections = pool("127.0.0.1", environ={"ALL_PROXY": f"https://127.0.0.1:{proxy.port}"})
        error = await failure(connections, private(443, scheme="https", host="api.example.com", ca_file=authority.file))
        assert error.code == "tls_error"
        assert proxy.heads == []


async def test_a_proxy_that_says_no_is_a_proxy_error() -> None:
    async with listening(ForwardProxy(lambda: 0, b"407 Proxy Authentication Required")) as proxy:
        connections = pool("127.0.0.1", environ={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
        error = await failure(connections, Origin("https", "api.example.com", 443))
        assert (error.code, error.text) == ("proxy_error", "the proxy refused the connection with status 407")


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nsurplus", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000]
)
async def test_a_proxy_that_answers_nonsense_is_a_proxy_error(answer: bytes) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        connections = pool("127.0.0.1", environ={"HTTPS_PROXY": f"http://127.0.0.1:{port}"})
        assert (await failure(connections, Origin("https", "api.example.com", 443))).code == "proxy_error"


async def test_a_literal_private_address_is_refused_even_behind_a_proxy() -> None:
    connections = pool(environ={"HTTPS_PROXY": "http://127.0.0.1:1"})
    assert (await failure(connections, Origin("https", "169.254.169.254", 443))).code == "private_address"


async def test_a_socks_proxy_is_refused_in_plain_words() -> None:
    connections = pool(environ={"ALL_PROXY": "socks5://user:secret@127.0.0.1:1080"})
    error = await failure(connections, Origin("https", "api.example.com", 443))
    assert (error.code, error.text) == ("proxy_error", "only http and https proxies are supported")
