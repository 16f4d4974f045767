"""Listening addresses, with and without TLS, and the connections they have accepted."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from keyvault.errors import ConfigurationError, Unavailable
from keyvault.proxy.http1 import BodyBudget, Handler, Limits, ServerConnection
from keyvault.settings import Settings

CUT_SECONDS: Final = 2.0
"""For the tasks of cut connections to book what they had."""


class Listener:
    """One listening address and the connections it has accepted."""

    def __init__(self, handler: Handler, settings: Settings, tls: ssl.SSLContext | None) -> None:
        self._handler = handler
        self._limits = Limits.of(settings)
        self._bodies = BodyBudget(settings.max_bodies)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self.connections: set[ServerConnection] = set()

    async def open(self, host: str, port: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, ssl=self._tls, backlog=1024)
        except OSError as error:
            raise Unavailable(
                f"cannot listen on {host}:{port}: {error.strerror or error}", hint="choose another with --listen"
            ) from None
        bound = self._server.sockets[0].getsockname()
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        return f"{'https' if self._tls else 'http'}://{shown}:{bound[1]}"

    def check(self, now: float) -> None:
        for connection in tuple(self.connections):
            connection.check(now)

    async def drain(self, seconds: float) -> None:
        """Accept no more, let requests in flight finish for so long, then cut what is left and wait for its end."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self.connections):
            connection.drain()
        await self._until_empty(seconds)
        for connection in tuple(self.connections):
            connection.cut()
        await self._until_empty(CUT_SECONDS)

    async def _until_empty(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self.connections and loop.time() < deadline:  # noqa: ASYNC110 - a set has no event, and this is rare
            await asyncio.sleep(0.01)

    def _connection(self) -> ServerConnection:
        return ServerConnection(self._handler, self._limits, self._bodies, self.connections)


def parse_address(text: str, what: str) -> tuple[str, int]:
    """`127.0.0.1:8900`, `[::1]:8900` → host and port; else `ConfigurationError`."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"{what}: not an address: {text[:60]!a}", hint="write it as HOST:PORT")
    return host, int(port)


def loopback(text: str) -> tuple[str, int]:
    """An address of this machine only: the admin listener has no authentication."""
    host, port = parse_address(text, "serve.admin")
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"serve.admin: {host} is not a loopback address",
            hint="the admin listener has no authentication: 127.0.0.1:8901",
        )
    return host, port


def client_tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS for clients from `serve.tls_cert` and `serve.tls_key`, None when neither is set."""
    if not settings.tls_cert and not settings.tls_key:
        return None
    if not (settings.tls_cert and settings.tls_key):
        raise ConfigurationError("serve.tls_cert and serve.tls_key go together")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "not a PEM pair"
        raise ConfigurationError(f"{settings.tls_cert}: cannot be used for TLS: {reason}") from None
    return context
