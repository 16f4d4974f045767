"""Steady traffic to a gateway: several callers with habits of their own, some of whom lose patience or ask wrongly.

It runs in a thread. Every request is made as an SDK would: retried twice where that may help, given up in mid-stream
by closing the connection.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx

from keyvault.secrets import Secret

RETRIES: Final = 2
RETRIED: Final = frozenset({429, 500, 502, 503, 504, 529})
IMPATIENT: Final = 0.08
"""How many of the streams are given up by their client."""
_PATHS: Final = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
    "embeddings": "/embeddings",
}
_TERMINAL: Final = ("data: [DONE]", "event: message_stop", "event: response.completed", "event: response.incomplete")


@dataclass(frozen=True, slots=True)
class Caller:
    """One application: which key it holds, what it asks for and how often."""

    key: str
    alias: str
    dialect: str
    stream: bool
    per_second: float
    words: int
    """Length of its prompts."""


CALLERS: Final = (
    Caller("web-frontend", "fast", "chat", stream=True, per_second=2.0, words=60),
    Caller("web-frontend", "smart", "responses", stream=True, per_second=0.6, words=120),
    Caller("nightly-batch", "fast", "chat", stream=False, per_second=1.5, words=400),
    Caller("nightly-batch", "embed", "embeddings", stream=False, per_second=1.5, words=200),
    Caller("search-api", "smart", "chat", stream=False, per_second=0.8, words=80),
    Caller("docs-writer", "writer", "messages", stream=True, per_second=0.7, words=300),
    Caller("support-bot", "helper", "messages", stream=True, per_second=1.2, words=90),
    Caller("support-bot", "nonesuch", "chat", stream=False, per_second=0.1, words=20),
)


@dataclass(slots=True)
class Tally:
    """What the clients saw."""

    sent: int = 0
    completed: int = 0
    refused: int = 0
    """Error answers and error events, retries included."""
    broken: int = 0
    given_up: int = 0
    open: int = 0


class Traffic:
    """Traffic from `start` to `stop`."""

    def __init__(self, base_url: str, secrets: Mapping[str, Secret], *, seed: int = 7, rate: float = 1.0) -> None:
        """`rate` multiplies how often everyone calls."""
        self.tally = Tally()
        self._base_url = base_url
        self._secrets = secrets
        self._rng = random.Random(seed)  # noqa: S311 - not for secrets
        self._rate = rate
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), name="traffic")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Start nothing more, and wait for what is under way."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        async with (
            httpx.AsyncClient(base_url=self._base_url, timeout=60, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for caller in CALLERS:
                group.create_task(self._call_steadily(client, caller, group))

    async def _call_steadily(self, client: httpx.AsyncClient, caller: Caller, group: asyncio.TaskGroup) -> None:
        while not self._ended.is_set():
            pause = self._rng.expovariate(caller.per_second * self._rate)
            try:
                await asyncio.wait_for(self._ended.wait(), timeout=pause)
            except TimeoutError:
                group.create_task(self._ask(client, caller))

    async def _ask(self, client: httpx.AsyncClient, caller: Caller) -> None:
        """One question, with retries."""
        body = self._body(caller)
        for attempt in range(1 + RETRIES):
            if attempt:
                await asyncio.sleep(0.2 * attempt)
            self.tally.sent += 1
            self.tally.open += 1
            try:
                if not await self._once(client, caller, body):
                    return
            except httpx.HTTPError:
                self.tally.broken += 1
            finally:
                self.tally.open -= 1

    async def _once(self, client: httpx.AsyncClient, caller: Caller, body: dict[str, Any]) -> bool:
        """Whether to try again."""
        secret = self._secrets[caller.key].reveal()
        headers = {"authorization": f"Bearer {secret}"}
        if caller.dialect == "messages":
            headers = {"x-api-key": secret, "anthropic-version": "2023-06-01"}
        patience = self._rng.randint(1, 15) if caller.stream and self._rng.random() < IMPATIENT else None
        async with client.stream("POST", _PATHS[caller.dialect], json=body, headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                self.tally.refused += 1
                return answer.status_code in RETRIED
            if caller.stream:
                return await self._read_stream(answer, patience)
            await answer.aread()
            self.tally.completed += 1
            return False

    async def _read_stream(self, answer: httpx.Response, patience: int | None) -> bool:
        """Whether to try again; leaves early when `patience`, in lines, is used up."""
        lines = 0
        async for line in answer.aiter_lines():
            lines += 1
            if line.startswith(_TERMINAL):
                self.tally.completed += 1
                return False
            if line.startswith(("event: error", 'data: {"error"')):
                self.tally.refused += 1
                return True
            if patience is not None and lines >= patience:
                self.tally.given_up += 1
                return False
        self.tally.broken += 1
        return True

    def _body(self, caller: Caller) -> dict[str, Any]:
        words = max(3, round(self._rng.lognormvariate(0, 0.5) * caller.words))
        prompt = " ".join(self._rng.choices(_VOCABULARY, k=words))
        body: dict[str, Any] = {"model": caller.alias}
        if caller.dialect in ("chat", "messages"):
            body |= {"messages": [{"role": "user", "content": prompt}], "max_tokens": self._rng.choice((64, 256, 1024))}
        else:
            body["input"] = prompt
        return body | ({"stream": True} if caller.stream else {})


_PROSE: Final = (
    "please compare summarise explain translate invoice customer report shipping order update account error login "
    "the a of to and for with by from last next every which quarter table outline draft reply short friendly"
)
_VOCABULARY: Final = _PROSE.split(" ")
