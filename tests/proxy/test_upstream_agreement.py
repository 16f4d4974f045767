"""What `upstreams test` says of an upstream is what serving it will meet: both ways to a provider end alike."""

from __future__ import annotations

import asyncio

import pytest

from keyvault.clock import from_ms
from keyvault.domain.endpoints import Dialect
from keyvault.domain.vault import Upstream
from keyvault.proxy.upstream import Origin, Pool, UpstreamFailure
from keyvault.vault.direct import Failure, ask
from tests.proxy.wire import Heard
from tests.upstreams import opened

NOBODY = "http://127.0.0.1:1"
"""A proxy that refuses every connection."""


async def called(upstream: Upstream, environ: dict[str, str]) -> str:
    ended = await asyncio.to_thread(ask, opened(upstream), "GET", "/models", None, 5.0, environ)
    return ended.code if isinstance(ended, Failure) else "answered"


async def relayed(upstream: Upstream, environ: dict[str, str]) -> str:
    pool = Pool(connect_timeout=5.0, environ=environ)
    origin = Origin.parse(upstream.base_url, allow_private=upstream.allow_private, ca_file=upstream.ca_file)
    try:
        connection = await pool.acquire(origin)
    except UpstreamFailure as failure:
        return failure.code
    heard = Heard()
    connection.send(b"GET /models HTTP/1.1\r\nhost: x\r\n\r\n", b"", heard)
    await heard.done.wait()
    connection.close()
    return "answered" if heard.ended else "unanswered"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(65536):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
    writer.close()


@pytest.mark.parametrize(
    ("url", "environ", "ending"),
    [
        ("http://HERE", {"http_proxy": NOBODY}, "answered"),
        ("http://HERE", {"ALL_PROXY": "socks5://127.0.0.1:1"}, "answered"),
        ("http://no-such-host.invalid", {"http_proxy": NOBODY, "NO_PROXY": "a.example, invalid"}, "dns_failure"),
        ("http://no-such-host.invalid", {"http_proxy": NOBODY, "NO_PROXY": "a.example invalid"}, "connect_refused"),
        ("http://[::ffff:127.0.0.1]:1", {"http_proxy": NOBODY, "NO_PROXY": "::ffff:127.0.0.0/104"}, "connect_refused"),
        ("https://no-such-host.invalid", {"https_proxy": "socks5://127.0.0.1:1"}, "proxy_error"),
        ("https://no-such-host.invalid", {"https_proxy": "http://127.0.0.1:port"}, "proxy_error"),
    ],
)
async def test_the_environment_s_proxies_mean_the_same_to_both(url: str, environ: dict[str, str], ending: str) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        upstream = made(url.replace("HERE", f"localhost:{server.sockets[0].getsockname()[1]}"))
        assert await called(upstream, environ) == ending
        assert await relayed(upstream, environ) == ending


@pytest.mark.parametrize("environ", [{}, {"https_proxy": NOBODY}], ids=["direct", "proxied"])
async def test_a_private_address_is_refused_by_both(environ: dict[str, str]) -> None:
    upstream = made("https://169.254.169.254", allow_private=False)
    assert await called(upstream, environ) == await relayed(upstream, environ) == "private_address"


async def test_a_ca_file_that_is_gone_is_a_tls_error_to_both() -> None:
    upstream = made("https://127.0.0.1:1", ca_file="/no/such/ca.pem")
    assert await called(upstream, {}) == await relayed(upstream, {}) == "tls_error"


def made(base_url: str, *, allow_private: bool = True, ca_file: str | None = None) -> Upstream:
    return Upstream(
        id=1,
        name="up",
        provider="custom",
        base_url=base_url,
        dialects=frozenset({Dialect.CHAT}),
        auth_header="",
        auth_scheme="",
        stream_usage=True,
        catalogue=None,
        created_at=from_ms(0),
        allow_private=allow_private,
        ca_file=ca_file,
        has_secret=False,
    )
