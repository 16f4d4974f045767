"""Why there is no whole answer, in words; never what was sent.

Errors of the network are known by the names that httpx and the HTTP library of the official SDKs have in common.
"""

from __future__ import annotations

import ssl
from typing import Final

from keyvault.proxy.dialects.sse import OversizedEvent

_WORDS: Final = {
    "ConnectTimeout": "no connection in time",
    "TimeoutException": "silent for too long",
    "TimeoutError": "silent for too long",
    "RemoteProtocolError": "the connection ended in the middle of the answer",
    "ConnectError": "no connection: the name or address is not reached",
}


def why_not_whole(error: BaseException) -> str:
    """One line about an error that ended an exchange."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'no reason given'}".lower().replace("tls", "TLS", 1)
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        if isinstance(cause, OSError) and cause.strerror and cause.errno:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, OversizedEvent):
        return str(error)
    names = [each.__name__ for each in type(error).__mro__]
    return next((_WORDS[name] for name in names if name in _WORDS), f"the request failed ({names[0]})")
