"""How a provider may be reached: through which forward proxy, at which addresses, trusting whom.

One set of rules for every call that carries a credential, the relayed one and the one that tests an upstream. Nothing
here opens a connection.

Proxies are named as usual: `HTTPS_PROXY` and `HTTP_PROXY` by the provider's scheme, else `ALL_PROXY`; the lower-case
form of each wins, as in curl. `NO_PROXY`: comma-separated hosts (their subdomains included), addresses, networks, each
with an optional port, or `*`. This machine itself is never asked for through a proxy.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from keyvault.domain.addresses import is_public

_NAMES_CREDENTIAL: Final = re.compile(
    r"(?i)api_?key|invalid_(key|token)|authenticat|credential|account_deactivated|revoked"
)


def names_credential(error_code: str) -> bool:
    """Whether the error code of a 403 says that the credential is none, not that it may not do something."""
    return _NAMES_CREDENTIAL.search(error_code) is not None


class Unreachable(Exception):
    """A provider may not or cannot be connected to. `code` as for upstream failures, `text` one line."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


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
        """`http://user:password@proxy:3128`, or `proxy:3128`. Raises `Unreachable` proxy_error."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise Unreachable("proxy_error", "the proxy's address in the environment cannot be read") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable("proxy_error", "only http and https proxies are supported")
        authorization = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = b"Basic " + b64encode(user.encode())
        return cls(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), authorization)

    @property
    def url(self) -> str:
        """Where it is, without the credential."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Proxies:
    """The proxies an environment names."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        def value(name: str) -> str:
            return (environ.get(name.lower()) or environ.get(name) or "").strip()

        everything = value("ALL_PROXY")
        self._urls = {"http": value("HTTP_PROXY") or everything, "https": value("HTTPS_PROXY") or everything}
        self._exceptions = [entry.strip().lower() for entry in value("NO_PROXY").split(",") if entry.strip()]

    def proxy_for(self, scheme: str, host: str, port: int) -> Proxy | None:
        """None: connect directly. `host` in lower case, an IPv6 address without brackets. Raises `Unreachable` where
        the environment's value is of no use."""
        url = self._urls[scheme]
        if not url or _is_this_machine(host) or any(_covers(entry, host, port) for entry in self._exceptions):
            return None
        return Proxy.parse(url)


def usable_addresses(host: str, addresses: Sequence[str], allow_private: bool) -> Sequence[str]:
    """Those of a host's addresses that may be connected to: all, or the public ones. Raises `Unreachable` where that
    leaves none."""
    usable = addresses if allow_private else [address for address in addresses if is_public(address)]
    if not usable:
        raise Unreachable("private_address", f"{host} is at a private address, which this upstream may not use")
    return usable


def check_unresolved(host: str, allow_private: bool) -> None:
    """What can be checked of a host that a proxy resolves: a literal address. Raises `Unreachable`."""
    if is_literal(host):
        usable_addresses(host, [host], allow_private)


def is_literal(host: str) -> bool:
    """Whether a host is an address and not a name."""
    return _address(host) is not None


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """HTTP/1.1 with verification, by the authorities in `ca_file` and no others, or by the system's. Raises
    `Unreachable` tls_error where the file is of no use."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unreachable("tls_error", f"the upstream's CA file cannot be used: {reason}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _covers(entry: str, wanted: str, wanted_port: int) -> bool:
    if entry == "*":
        return True
    address = _address(wanted)
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    host, port = _split_port(entry)
    if port is not None and port != wanted_port:
        return False
    if address is not None:
        return _address(host) == address
    name = host.lstrip("*").lstrip(".")
    return bool(name) and (wanted == name or wanted.endswith("." + name))


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
