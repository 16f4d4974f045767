"""One GET to a provider on the gateway's own account, its answer collected up to a bound."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from keyvault.proxy.upstream.connection import UpstreamConnection
from keyvault.proxy.upstream.origin import Origin, UpstreamFailure
from keyvault.proxy.upstream.pool import Pool
from keyvault.proxy.upstream.sink import Headers

SECONDS: Final = 60.0
"""For the whole of it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A provider's answer. `cut`: it was larger than the bound, and is not whole."""

    status: int
    body: bytes
    cut: bool = False


async def fetch(pool: Pool, origin: Origin, head: bytes, limit: int, *, seconds: float = SECONDS) -> Fetched:
    """Send a request without a body; `head` is its whole head. Raises `UpstreamFailure`."""
    connection = await pool.acquire(origin, fresh=True)
    collector = _Collector(connection, limit)
    connection.send(head, b"", collector)
    try:
        async with asyncio.timeout(seconds):
            return await collector.done
    except TimeoutError:
        raise UpstreamFailure("total_timeout", f"not complete within {seconds:g} s") from None
    finally:
        if not collector.ended:
            connection.close()


class _Collector:
    """Sink of one answer."""

    def __init__(self, connection: UpstreamConnection, limit: int) -> None:
        self.done: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        self.ended = False
        self._connection = connection
        self._left = limit
        self._status = 0
        self._pieces: list[bytes] = []

    def on_head(self, status: int, headers: Headers) -> None:
        self._status = status

    def on_data(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._connection.close()
            self._finish(cut=True)
        else:
            self._pieces.append(data)

    def shortcut(self) -> None:
        return None

    def on_end(self) -> None:
        self.ended = True
        self._finish(cut=False)

    def on_failure(self, error: UpstreamFailure) -> None:
        self.ended = True
        if not self.done.done():
            self.done.set_exception(error)

    def _finish(self, *, cut: bool) -> None:
        if not self.done.done():
            self.done.set_result(Fetched(self._status, b"".join(self._pieces), cut))
