"""Opens connections to providers: names resolved, addresses checked, proxies passed, TLS verified.

Guarantees: the address that is connected to is the very one that was checked, so that a name which changes its mind
between two look-ups (DNS rebinding) gains nothing; TLS is always verified against the provider's host name, by the
system's authorities or by the upstream's own and no others. Behind a proxy it is the proxy that resolves the name:
then only a literal address can be checked here.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

from keyvault.domain.outgoing import (
    Proxies,
    Proxy,
    Unreachable,
    check_unresolved,
    is_literal,
    tls_context,
    usable_addresses,
)
from keyvault.proxy.upstream.connection import UpstreamConnection
from keyvault.proxy.upstream.origin import Origin, UpstreamFailure

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → addresses, best first. Raises `OSError`."""

_NEXT_ADDRESS_AFTER: Final = 3.0
"""Seconds for one of several addresses before the next is tried: a dead IPv6 path must not eat the whole time."""
_MAX_PROXY_HEAD: Final = 16 * 1024
_LONGEST_HANDSHAKE: Final = 600.0
"""Seconds of TLS; what holds is the time for all of connecting."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Connector:
    """Connects within `timeout` seconds, all steps together."""

    def __init__(self, timeout: float, proxies: Proxies, resolver: Resolver = resolve) -> None:
        self._timeout = timeout
        self._proxies = proxies
        self._resolve = resolver
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def connect(self, origin: Origin, connection: UpstreamConnection, within: float | None = None) -> None:
        """Connects `connection`; `within`: other than the usual seconds. Raises `UpstreamFailure`."""
        within = self._timeout if within is None else within
        try:
            async with asyncio.timeout(within):
                proxy = self._proxies.proxy_for(origin.scheme, origin.host, origin.port)
                if proxy is None:
                    await self._directly(origin, connection)
                else:
                    await self._through(proxy, origin, connection)
        except Unreachable as error:
            raise UpstreamFailure(error.code, error.text) from None
        except TimeoutError:
            text = f"no connection to {origin.authority} within {within:.3g} s"
            raise UpstreamFailure("connect_timeout", text) from None

    async def _directly(self, origin: Origin, connection: UpstreamConnection) -> None:
        found = await self._addresses(origin.host, origin.port)
        addresses = usable_addresses(origin.host, found, origin.allow_private)
        tls = self._context(origin.ca_file) if origin.scheme == "https" else None
        await self._open(addresses, origin.host, origin.port, tls, lambda: connection)

    async def _through(self, proxy: Proxy, origin: Origin, connection: UpstreamConnection) -> None:
        check_unresolved(origin.host, origin.allow_private)
        tls = self._context(None) if proxy.scheme == "https" else None
        addresses = await self._addresses(proxy.host, proxy.port)
        if origin.scheme == "http":
            connection.absolute_form = (b"http://" + origin.host_header, proxy.authorization)
            await self._open(addresses, proxy.host, proxy.port, tls, lambda: connection)
            return
        tunnel = _Tunnel()
        transport = await self._open(addresses, proxy.host, proxy.port, tls, lambda: tunnel)
        try:
            await tunnel.establish(origin, proxy)
            await self._start_tls(transport, origin, connection)
        except BaseException:
            transport.abort()
            raise

    async def _start_tls(self, transport: asyncio.Transport, origin: Origin, connection: UpstreamConnection) -> None:
        context = self._context(origin.ca_file)
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(transport, connection, context, server_hostname=origin.host)
        except OSError as error:
            raise _failure(error, origin.host, origin.port) from None
        assert secured is not None
        connection.connection_made(secured)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        if is_literal(host):
            return [host]
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            if isinstance(error, TimeoutError):
                raise
            reason = (error.strerror or "no answer").lower()
            raise UpstreamFailure("dns_failure", f"{host} cannot be resolved: {reason}") from None
        if not addresses:
            raise UpstreamFailure("dns_failure", f"{host} has no address")
        return addresses

    async def _open(
        self,
        addresses: Sequence[str],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        factory: Callable[[], asyncio.Protocol],
    ) -> asyncio.Transport:
        """Connects to the first address that answers; names in TLS are checked against `host`."""
        loop = asyncio.get_running_loop()
        names: dict[str, Any] = (
            {} if tls is None else {"ssl": tls, "server_hostname": host, "ssl_handshake_timeout": _LONGEST_HANDSHAKE}
        )
        failure = UpstreamFailure("connect_failed", f"no connection to {host}:{port}")
        for position, address in enumerate(addresses, 1):
            patience = None if position == len(addresses) else _NEXT_ADDRESS_AFTER
            try:
                async with asyncio.timeout(patience):
                    transport, _ = await loop.create_connection(factory, address, port, **names)
            except ssl.SSLError as error:
                raise _failure(error, host, port) from None
            except TimeoutError:
                failure = UpstreamFailure("connect_timeout", f"{host}:{port} does not answer")
            except OSError as error:
                failure = _failure(error, host, port)
            else:
                return transport
        raise failure

    def _context(self, ca_file: str | None) -> ssl.SSLContext:
        context = self._contexts.get(ca_file)
        if context is None:
            context = self._contexts[ca_file] = tls_context(ca_file)
        return context


class _Tunnel(asyncio.Protocol):
    """Asks a proxy to connect us to a provider (CONNECT)."""

    def __init__(self) -> None:
        self._head = b""
        self._answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def establish(self, origin: Origin, proxy: Proxy) -> None:
        authority = origin.authority.encode()
        head = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (authority, authority)
        if proxy.authorization is not None:
            head += b"proxy-authorization: %b\r\n" % proxy.authorization
        self._transport.write(head + b"\r\n")
        line, _, _ = (await self._answered).partition(b"\r\n")
        words = line.split(b" ", 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
            raise UpstreamFailure("proxy_error", "the proxy's answer is not http")
        if not words[1].startswith(b"2"):
            raise UpstreamFailure("proxy_error", f"the proxy refused the connection with status {int(words[1][:4])}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._answered.done():
            return
        head, end, surplus = self._head.partition(b"\r\n\r\n")
        if end and not surplus:
            self._answered.set_result(head)
        elif end or len(self._head) > _MAX_PROXY_HEAD:
            self._answered.set_exception(UpstreamFailure("proxy_error", "the proxy's answer cannot be used"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(UpstreamFailure("proxy_error", "the proxy closed the connection"))


def _failure(error: OSError, host: str, port: int) -> UpstreamFailure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UpstreamFailure("tls_error", f"{host}: certificate not trusted: {error.verify_message.lower()}")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "handshake failed").lower().replace("_", " ")
        return UpstreamFailure("tls_error", f"{host}:{port}: {reason}")
    if isinstance(error, ConnectionRefusedError):
        return UpstreamFailure("connect_refused", f"{host}:{port} refuses connections")
    reason = (error.strerror or "connection lost").lower()
    return UpstreamFailure("connect_failed", f"no connection to {host}:{port}: {reason}")
