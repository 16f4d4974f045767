"""The provider-facing wire: HTTP/1.1 requests out, answers in, on kept connections.

`Pool.acquire` gives a connection to an `Origin`, `UpstreamConnection.send` a request; the answer comes to a `Sink` by
plain callbacks. Whatever goes wrong is an `UpstreamFailure` with a stable code. How addresses are checked and TLS and
proxies are handled: `keyvault.domain.outgoing` has the rules, `connector` the connections.
"""

from keyvault.proxy.upstream.connection import UpstreamConnection
from keyvault.proxy.upstream.connector import Connector, Resolver, resolve
from keyvault.proxy.upstream.origin import Origin, UpstreamFailure
from keyvault.proxy.upstream.pool import Pool
from keyvault.proxy.upstream.sink import Shortcut, Sink

__all__ = [
    "Connector",
    "Origin",
    "Pool",
    "Resolver",
    "Shortcut",
    "Sink",
    "UpstreamConnection",
    "UpstreamFailure",
    "resolve",
]
