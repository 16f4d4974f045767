"""The provider-facing wire: HTTP/1.1 requests out, answers in, on kept connections.

`Pool.acquire` gives a connection to an `Origin`, `UpstreamConnection.send` a request; the answer comes to a `Sink` by
plain callbacks. Whatever goes wrong is an `UpstreamFailure` with a stable code. See `connector` for how addresses are
checked and TLS and proxies are handled.
"""

from keyvault.proxy.upstream.connection import Sink, UpstreamConnection
from keyvault.proxy.upstream.connector import Connector, Resolver, resolve
from keyvault.proxy.upstream.origin import Origin, UpstreamFailure
from keyvault.proxy.upstream.pool import Pool
from keyvault.proxy.upstream.proxies import Proxies, Proxy

__all__ = [
    "Connector",
    "Origin",
    "Pool",
    "Proxies",
    "Proxy",
    "Resolver",
    "Sink",
    "UpstreamConnection",
    "UpstreamFailure",
    "resolve",
]
