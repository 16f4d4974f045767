"""Clients that all want to spend the same money at once: in three dialects, streaming or not, patient or not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from typing import Any, Final

import httpx

from keyvault.clock import Clock
from keyvault.home import Home
from keyvault.storage import purse
from tests.gateway import Gateway

CAP: Final = 16
"""Tokens that each asks for at most; the answers have more to say."""
_PATHS: Final = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
_MARKS: Final = (*("",) * 9, "[sim:500]", "[sim:drop]", "[sim:cut]", "[sim:error]", "[sim:nousage]")
_TRIES: Final = 6
"""Of a client that is refused for want of money, or whose connection broke."""
_PAUSE: Final = 0.05
_DEAD_SECONDS: Final = 60.0
"""Within which somebody else has the purse of a worker that was killed."""


class Answered(Counter[str]):
    """What the clients saw."""

    def __str__(self) -> str:
        return ", ".join(f"{count} {what}" for what, count in sorted(self.items()))


class Spenders:
    """Ask a number of calls at once, in one key's name."""

    def __init__(self, gateway: Gateway, secret: str, *, seed: int, loose: bool = False, dear: bool = False) -> None:
        """`loose`: some ask a model that ignores caps; `dear`: some ask for what has no bound."""
        self._gateway = gateway
        self._secret = secret
        self._loose = loose
        self._dear = dear
        self._rng = random.Random(seed)
        self._up = asyncio.Event()
        self._up.set()

    async def ask(self, calls: int, *, kill_after: float | None = None) -> Answered:
        """All calls at once. `kill_after`: seconds until the gateway is killed and started again."""
        answered = Answered()
        limits = httpx.Limits(max_connections=calls)
        async with httpx.AsyncClient(timeout=15, trust_env=False, verify=False, limits=limits) as client:
            killing = asyncio.create_task(self._kill(kill_after)) if kill_after is not None else None
            asking = [self._call(client, number) for number in range(calls)]
            answered.update(await asyncio.gather(*asking))
            if killing is not None:
                await killing
        return answered

    async def _kill(self, after: float) -> None:
        await asyncio.sleep(after)  # the random instant; nothing waits for it
        self._up.clear()
        await asyncio.to_thread(self._gateway.kill)
        await asyncio.to_thread(self._gateway.start)
        await asyncio.to_thread(self._spends)
        self._up.set()

    def _spends(self) -> None:
        """Wait until the gateway that was started may draw on balances: on PostgreSQL when the dead one's half a minute
        is over."""
        with contextlib.closing(Home(self._gateway.environ, Clock())) as home:
            until = time.monotonic() + _DEAD_SECONDS
            while not home.database.is_sqlite and time.monotonic() < until:
                with home.database.read() as tx:
                    newest = max(worker.id for worker in home.workers.live())
                    if purse.holder(tx, 0).worker == newest:
                        return
                time.sleep(0.1)

    async def _call(self, client: httpx.AsyncClient, number: int) -> str:
        dialect, stream = ("chat", "messages", "responses")[number % 3], number % 2 == 0
        leaves = self._rng.random() < 0.15
        body = self._body(dialect, stream)
        seen = "unreached"
        for _ in range(_TRIES):
            await self._up.wait()
            try:
                async with asyncio.timeout(self._rng.uniform(0.01, 0.2) if leaves else 15):
                    seen = await self._once(client, _PATHS[dialect], body)
            except TimeoutError:
                return "left"
            except httpx.HTTPError:
                seen = "broken"
            if seen not in ("refused", "broken"):
                return seen
            await asyncio.sleep(_PAUSE)
        return seen

    async def _once(self, client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
        headers = {"authorization": f"Bearer {self._secret}", "anthropic-version": "2023-06-01"}
        async with client.stream("POST", self._gateway.origin + path, json=body, headers=headers) as answer:
            await answer.aread()
            return {200: "answered", 402: "refused"}.get(answer.status_code, "failed")

    def _body(self, dialect: str, stream: bool) -> dict[str, Any]:
        model = "loose" if self._loose and self._rng.random() < 0.05 else "m"
        text = f"{self._rng.choice(_MARKS)} question {self._rng.randrange(10**9)}"
        cap = "max_output_tokens" if dialect == "responses" else "max_tokens"
        body: dict[str, Any] = {"model": model, cap: CAP, "stream": stream}
        if self._dear and self._rng.random() < 0.3:
            body["service_tier"] = "priority"
        return body | ({"input": text} if dialect == "responses" else {"messages": [{"role": "user", "content": text}]})
