"""Clients that know exactly which answers they saw complete: those whose terminal event, or whole body, arrived.

They run in a thread, go on through crashes of the gateway, and note the gateway's request id of each completed answer.
"""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx

from tests.gateway import Gateway

_PATHS: Final = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
_TERMINAL: Final = {"chat": "data: [DONE]", "messages": "event: message_stop", "responses": "event: response.completed"}


class Clients:
    """`count` clients asking again and again, from `start` to `stop`, each in one dialect, streaming or not."""

    def __init__(self, gateway: Gateway, secret: str, *, count: int, seed: int) -> None:
        self.completed: list[str] = []
        """Request ids of answers that were seen complete."""
        self.broken = 0
        self._gateway = gateway
        self._secret = secret
        self._count = count
        self._rng = random.Random(seed)
        self._ended = threading.Event()
        self._thread = ThreadPoolExecutor(1, "clients")

    def start(self) -> None:
        self._running = self._thread.submit(lambda: asyncio.run(self._run()))

    def stop(self) -> None:
        """End, after the requests under way; raises what went wrong in a client itself."""
        self._ended.set()
        self._thread.shutdown()
        self._running.result()

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as client, asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(
                    self._ask_again(client, ("chat", "messages", "responses")[number % 3], number % 2 == 0)
                )

    async def _ask_again(self, client: httpx.AsyncClient, dialect: str, stream: bool) -> None:
        while not self._ended.is_set():
            try:
                await self._ask(client, dialect, stream)
            except httpx.ConnectError:
                await asyncio.sleep(0.02)  # the gateway is down: leave it the processor, to come back
            except httpx.HTTPError:
                self.broken += 1

    async def _ask(self, client: httpx.AsyncClient, dialect: str, stream: bool) -> None:
        headers = {"authorization": f"Bearer {self._secret}", "anthropic-version": "2023-06-01"}
        url = self._gateway.origin + _PATHS[dialect]
        async with client.stream("POST", url, json=self._body(dialect, stream), headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                return
            if not stream:
                await answer.aread()
                self.completed.append(answer.headers["x-request-id"])
                return
            async for line in answer.aiter_lines():
                if line.startswith(_TERMINAL[dialect]):
                    self.completed.append(answer.headers["x-request-id"])

    def _body(self, dialect: str, stream: bool) -> dict[str, Any]:
        # A first target that fails now and then, so that requests have several attempts.
        model = self._rng.choice(("plain", "plain", "plain", "fallback"))
        text = f"question {self._rng.randrange(10**9)}"
        body: dict[str, Any] = {"model": model, "max_tokens": 40, "stream": stream}
        if dialect == "responses":
            del body["max_tokens"]
            return body | {"input": text}
        return body | {"messages": [{"role": "user", "content": text}]}
