"""The client-facing wire: HTTP/1.1 requests in, answers out, on asyncio transports.

`ServerConnection` frames requests and hands each as an `Exchange` to a `Handler`. Nothing here knows what a request
means. See `head` and `body` for what is accepted, `limits` for sizes and times, `connection` for the life of a
connection, `exchange` for how answers are written.
"""

from keyvault.proxy.http1.body import BodyReader, ChunkedBody, SizedBody
from keyvault.proxy.http1.connection import ServerConnection
from keyvault.proxy.http1.exchange import Exchange, Flow, Handler
from keyvault.proxy.http1.head import CHUNKED, Headers, HeadReader, Request
from keyvault.proxy.http1.limits import BodyBudget, Limits

__all__ = [
    "CHUNKED",
    "BodyBudget",
    "BodyReader",
    "ChunkedBody",
    "Exchange",
    "Flow",
    "Handler",
    "HeadReader",
    "Headers",
    "Limits",
    "Request",
    "ServerConnection",
    "SizedBody",
]
