"""Where a credential may be sent: which addresses are public, and what a provider's base URL may look like.

The rule is checked twice: on the URL when an upstream is made, and on every resolved address when it is connected to,
so that a name which later resolves to an inside address gets nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NoReturn
from urllib.parse import urlsplit

from keyvault.errors import UsageError

# IANA's special-purpose registries, as far as they are not global unicast. Written out because `is_global` changes
# between Python versions and calls some relays (6to4, NAT64) global whatever they lead to.
_NOT_PUBLIC_V4: Final = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    ipaddress.IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*\Z")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_INSIDE_SUFFIXES: Final = ("localhost", "local", "internal", "intranet", "lan", "home.arpa")
_ALLOW: Final = "--allow-private if that is meant"


def is_public(ip: str) -> bool:
    """Whether an IP address is a public unicast address. False for anything that is not an address."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64 or address in _MAPPED:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)))
        return address in _GLOBAL_V6 and not any(address in block for block in _NOT_PUBLIC_V6)
    return not any(address in block for block in _NOT_PUBLIC_V4)


def check_base_url(url: str, allow_private: bool) -> str:
    """The normalised form of a provider's base URL, without a trailing slash.

    `https` with a public host unless `allow_private`; never user information, query, fragment, dot segments, escapes
    or a host in a disguised form (decimal, hexadecimal, octal, internationalised). Raises `UsageError`.
    """
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        _refuse("it has characters that do not belong into a URL", "write the host name in plain ASCII")
    if "\\" in url or "#" in url or "?" in url:
        _refuse("a query, a fragment or a backslash does not belong into it")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        _refuse("host or port cannot be understood")
    if "@" in parts.netloc:
        _refuse("user information does not belong into it", "store the credential with --secret-stdin")
    if parts.scheme not in _DEFAULT_PORTS:
        _refuse("it must begin with https://")
    if parts.scheme == "http" and not allow_private:
        _refuse("plain http would send the credential readable for everyone on the way", _ALLOW)
    if port == 0 or parts.netloc.endswith(":"):
        _refuse("host or port cannot be understood")
    host = _check_host(parts.hostname or "", "[" in parts.netloc, allow_private)
    shown_port = "" if port is None or port == _DEFAULT_PORTS[parts.scheme] else f":{port}"
    return f"{parts.scheme}://{host}{shown_port}{_check_path(parts.path)}"


def _check_host(host: str, bracketed: bool, allow_private: bool) -> str:
    if bracketed:
        return f"[{_check_ip(host, allow_private)}]"
    labels = host.split(".")
    if _NUMBER.match(labels[-1]):
        return _check_ip(host, allow_private)
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        _refuse("the host is not a valid name")
    if allow_private:
        return host
    if any(label.startswith("xn--") for label in labels):
        _refuse("an internationalised host can look like another", _ALLOW)
    if len(labels) == 1 or host.endswith(tuple(f".{suffix}" for suffix in _INSIDE_SUFFIXES)):
        _refuse(f"{host} is a private host", _ALLOW)
    return host


def _check_ip(host: str, allow_private: bool) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        _refuse("the host is a number but not an address in its usual form")
    if "%" in host:
        _refuse("an address with a zone cannot be used")
    if not allow_private and not is_public(host):
        _refuse(f"{address} is a private address", _ALLOW)
    return str(address)


def _check_path(path: str) -> str:
    path = path.rstrip("/")
    if not _PATH.match(path) or any(segment in (".", "..") for segment in path.split("/")):
        _refuse("the path may have plain segments only")
    return path


def _refuse(why: str, hint: str | None = None) -> NoReturn:
    # The URL itself is not shown: people paste credentials into it.
    raise UsageError(f"base URL refused: {why}", hint=hint)
