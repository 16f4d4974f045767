"""An exchange whose answer is also kept: it stands before the real one for requests that were drawn, and for no others.

So a request that nobody captures pays nothing for it, not even a question for each event of a stream.
"""

from __future__ import annotations

from typing import Any

from keyvault.proxy.capturing.kept import Kept
from keyvault.proxy.headers import Headers
from keyvault.proxy.http1 import Exchange, Flow


class Tapped(Exchange):
    """Hands everything on to the exchange of the connection, whose state is the only one."""

    __slots__ = ("_inner", "_kept")

    def __init__(self, inner: Exchange, kept: Kept) -> None:
        self._inner = inner
        self._kept = kept
        self.request = inner.request

    @property
    def caller(self) -> Any:
        return self._inner.caller

    @property
    def started(self) -> bool:  # type: ignore[override]
        return self._inner.started

    @property
    def finished(self) -> bool:  # type: ignore[override]
        return self._inner.finished

    @property
    def flow(self) -> Flow | None:
        return self._inner.flow

    @flow.setter
    def flow(self, flow: Flow | None) -> None:
        self._inner.flow = flow

    @property
    def gone(self) -> bool:
        return self._inner.gone

    @property
    def outlet_for_chunks(self) -> None:
        """Nobody goes around this: every piece is kept."""
        return None

    def reply(self, status: int, headers: Headers, body: bytes) -> None:
        self._inner.reply(status, headers, body)
        self._kept.head(status, headers)
        self._kept.data(body)
        self._kept.whole = True

    def start(self, status: int, headers: Headers, *, length: int | None) -> None:
        self._inner.start(status, headers, length=length)
        self._kept.head(status, headers)

    def send(self, data: bytes) -> None:
        if not self._inner.finished:
            self._kept.data(data)
        self._inner.send(data)

    def finish(self, data: bytes = b"") -> None:
        if not self._inner.finished:
            self._kept.data(data)
            self._kept.whole = True
        self._inner.finish(data)

    def abort(self) -> None:
        self._inner.abort()
