"""Where a request comes from, when trusted proxies stand in front.

`X-Forwarded-For` is believed only from a peer that is a trusted proxy: the rightmost address that is not itself one is
the client's, since everything to the left of it was written by somebody else. A header that cannot be read, or that
names only trusted proxies, says nothing: then the peer is the client.
"""

from __future__ import annotations

from collections.abc import Callable

from keyvault.domain.networks import admits, check_networks, parse_address
from keyvault.errors import ConfigurationError, UsageError
from keyvault.proxy.http1 import Request

ClientAddress = Callable[[Request], str]


def client_address(trusted_proxies: tuple[str, ...]) -> ClientAddress:
    """Tells a request's address, given `serve.trusted_proxies`. Raises `ConfigurationError` for what is no network."""
    try:
        trusted = check_networks(trusted_proxies)
    except UsageError as error:
        raise ConfigurationError(f"serve.trusted_proxies: {error.message}", hint=error.hint) from None
    return _Forwarded(trusted) if trusted else _peer


def _peer(request: Request) -> str:
    return request.peer


class _Forwarded:
    """Reads the header where the peer may write it; the same head on the same connection is read once."""

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._trusted = trusted

    def __call__(self, request: Request) -> str:
        known: str | None = request.lasting.get("address")
        if known is None:
            known = request.lasting["address"] = self._read(request)
        return known

    def _read(self, request: Request) -> str:
        if not admits(self._trusted, request.peer):
            return request.peer
        named = b",".join(request.all(b"x-forwarded-for")).decode("latin-1").split(",")
        for text in reversed(named):
            address = parse_address(text.strip(" \t"))
            if address is None:
                break
            if not admits(self._trusted, str(address)):
                return str(address)
        return request.peer
