"""Which forward proxy leads to a provider, from the usual environment variables.

`HTTPS_PROXY` and `HTTP_PROXY` by the provider's scheme, else `ALL_PROXY`; the lower-case form of each wins, as in
curl. `NO_PROXY`: comma-separated hosts (their subdomains included), addresses, networks, each with an optional port,
or `*`. This machine itself is never asked for through a proxy.
"""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from keyvault.proxy.upstream.origin import Origin, UpstreamFailure


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """A forward proxy."""

    scheme: str
    host: str
    port: int
    authorization: bytes | None = None
    """The value of `Proxy-Authorization`."""

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """`http://user:password@proxy:3128`, or `proxy:3128`. Raises `UpstreamFailure` proxy_error."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise UpstreamFailure("proxy_error", "the proxy's address in the environment cannot be read") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UpstreamFailure("proxy_error", "only http and https proxies are supported")
        authorization = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + b64encode(user.encode())
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), authorization)


class Proxies:
    """The proxies an environment names."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        def value(name: str) -> str:
            return (environ.get(name.lower()) or environ.get(name) or "").strip()

        everything = value("ALL_PROXY")
        self._urls = {"http": value("HTTP_PROXY") or everything, "https": value("HTTPS_PROXY") or everything}
        self._exceptions = [entry.strip().lower() for entry in value("NO_PROXY").split(",") if entry.strip()]

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """None: connect directly. Raises `UpstreamFailure` where the environment's value is of no use."""
        url = self._urls[origin.scheme]
        if not url or _is_this_machine(origin.host) or any(_covers(entry, origin) for entry in self._exceptions):
            return None
        return Proxy.parse(url)


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _covers(entry: str, origin: Origin) -> bool:
    if entry == "*":
        return True
    address = _address(origin.host)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    host, port = _split_port(entry)
    if port is not None and port != origin.port:
        return False
    if address is not None:
        return _address(host) == address
    name = host.lstrip("*").lstrip(".")
    return bool(name) and (origin.host == name or origin.host.endswith("." + name))


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        port = rest.lstrip(":")
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
    else:
        host, port = entry, ""
    return host, int(port) if port.isdecimal() else None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
