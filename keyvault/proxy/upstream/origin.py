"""Where a provider is, and what can go wrong on the way to it and back."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """A provider's scheme, host and port, and how it may be connected to. A tuple: each request looks it up twice."""

    scheme: str
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int
    allow_private: bool = False
    """May be at a loopback, private or link-local address."""
    ca_file: str | None = None
    """The only certificate authorities trusted here; None: the system's."""
    path: str = ""
    """Prefix of every path, without a trailing slash."""

    @classmethod
    def parse(cls, base_url: str, *, allow_private: bool = False, ca_file: str | None = None) -> Origin:
        """From a base URL that `check_base_url` has passed. Raises `ValueError` for another scheme or no host."""
        parts = urlsplit(base_url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError("not an http or https URL with a host")
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, allow_private, ca_file or None, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_header(self) -> bytes:
        """As `Host` and in absolute-form targets: without the scheme's usual port."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.authority.rpartition(":")[0].encode()
        return self.authority.encode()


class UpstreamFailure(Exception):
    """No answer, or not a whole one. `text` is one line without secrets.

    Codes: `dns_failure private_address connect_refused connect_failed connect_timeout tls_error proxy_error` before
    the request left; `connection_lost protocol_error` after.
    """

    def __init__(self, code: str, text: str, *, bytes_received: bool = False) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.bytes_received = bytes_received
        """Some of an answer had come."""
