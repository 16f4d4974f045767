"""Who serves the requests of one connection: one task for all of them, one request after the other.

A task for each would cost a hundredth of a request's time. One is enough, since a request is only ever cancelled
because its client has left, and then none follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from keyvault.proxy.http1.exchange import Exchange


class Attendant:
    """`serve` is the handler's; `served` is called when it has returned, with what it raised, or was cancelled."""

    __slots__ = ("_called", "_exchange", "_loop", "_serve", "_served", "_task", "busy")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        serve: Callable[[Exchange], Awaitable[None]],
        served: Callable[[Exception | None], None],
    ) -> None:
        self._loop = loop
        self._serve = serve
        self._served = served
        self._task: asyncio.Task[None] | None = None
        self._called: asyncio.Future[None]
        self._exchange: Exchange | None = None
        self.busy = False

    def take(self, exchange: Exchange) -> None:
        """Have a request served; only while not busy."""
        self._exchange = exchange
        self.busy = True
        if self._task is None:
            self._task = self._loop.create_task(self._work())
            self._task.add_done_callback(self._stopped)
        else:
            self._called.set_result(None)

    def stop(self) -> None:
        """Cancel the request under way, or the waiting for the next."""
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        while True:
            assert self._exchange is not None
            try:
                await self._serve(self._exchange)
            except Exception as error:  # noqa: BLE001 - the connection tells the client, and the log
                self._end(error)
            else:
                self._end(None)
            await self._called

    def _stopped(self, _task: asyncio.Task[None]) -> None:
        """Called whenever the task ends; what is cancelled before its first step knows of no `finally`."""
        self._task = None
        if self.busy:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._called = self._loop.create_future()
        self._exchange = None
        self.busy = False
        self._served(error)
