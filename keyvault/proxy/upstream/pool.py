"""Kept connections to providers.

The connection used last is used next, so that surplus ones grow old and are closed. A connection that the provider
closes while it waits here is noticed and dropped at once. One that has brought all that was wanted of an answer but not
its end is given a moment for that. Nothing is limited but how many wait: how many requests are under way is decided
before this.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

from keyvault.domain.outgoing import Proxies
from keyvault.proxy.upstream.connection import UpstreamConnection
from keyvault.proxy.upstream.connector import Connector, Resolver, resolve
from keyvault.proxy.upstream.origin import Origin
from keyvault.proxy.upstream.sink import Sink

IDLE_EXPIRY: Final = 15.0
MAX_IDLE: Final = 256
END_WITHIN: Final = 5.0
"""Seconds for the framing that follows the last event of a stream."""


class Pool:
    """Connections to all origins. `environ` names the forward proxies; times in seconds."""

    def __init__(
        self,
        *,
        connect_timeout: float,
        environ: Mapping[str, str],
        idle_expiry: float = IDLE_EXPIRY,
        max_idle_per_origin: int = MAX_IDLE,
        resolver: Resolver = resolve,
    ) -> None:
        self._connector = Connector(connect_timeout, Proxies(environ), resolver)
        self._idle_expiry = idle_expiry
        self._max_idle = max_idle_per_origin
        self._idle: dict[Origin, list[UpstreamConnection]] = {}
        self._ending: list[tuple[UpstreamConnection, Sink, float]] = []
        """Connections whose answers should end, for whom, and until when."""
        self._closed = False

    def kept(self, origin: Origin) -> UpstreamConnection | None:
        """A connection that was kept, for one request; None where there is none."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def acquire(self, origin: Origin, *, fresh: bool = False, within: float | None = None) -> UpstreamConnection:
        """A connection for one request; `fresh`: not one that was kept; `within`: so many seconds, where that is not
        the usual. Raises `UpstreamFailure`."""
        if not fresh and (kept := self.kept(origin)) is not None:
            return kept
        connection = UpstreamConnection(origin, self._keep)
        try:
            await self._connector.connect(origin, connection, within)
        except BaseException:
            connection.close()
            raise
        return connection

    def let_end(self, connection: UpstreamConnection, sink: Sink) -> None:
        """Its sink has all of an answer that it needs: the connection is kept once the answer has ended, or closed
        where it does not."""
        if connection.pours_into(sink):
            connection.resume_reading()
            self._ending.append((connection, sink, connection.loop.time() + END_WITHIN))

    @property
    def idle(self) -> int:
        """How many connections wait."""
        return sum(map(len, self._idle.values()))

    def check(self, now: float) -> None:
        """Closes what has waited too long; call it about four times a second with the loop's time."""
        for origin, connections in tuple(self._idle.items()):
            fresh = [connection for connection in connections if connection.usable and now < connection.expires]
            for connection in connections:
                if connection.usable and now >= connection.expires:
                    connection.close()
            if fresh:
                self._idle[origin] = fresh
            else:
                del self._idle[origin]
        self._ending = [ending for ending in self._ending if _still_ends(*ending, now)]

    def close(self) -> None:
        """Closes what waits, and from now on what comes back."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
        self._ending = [ending for ending in self._ending if _still_ends(*ending, inf)]

    def _keep(self, connection: UpstreamConnection) -> None:
        idle = self._idle.setdefault(connection.origin, [])
        if self._closed or len(idle) >= self._max_idle:
            connection.close()
            return
        # A second less than the provider says: what is sent meanwhile must still arrive.
        expiry = self._idle_expiry if connection.keep_for is None else min(self._idle_expiry, connection.keep_for - 1)
        connection.expires = connection.loop.time() + expiry
        idle.append(connection)


def _still_ends(connection: UpstreamConnection, sink: Sink, until: float, now: float) -> bool:
    """Whether an answer may go on ending; its connection is closed where it took too long."""
    if not connection.pours_into(sink):
        return False
    if now < until:
        return True
    connection.close()
    return False
