"""17. A key that was revoked while it was idle for 10 minutes → 401 at its first request, at every worker.

Every worker has served the key before, on a connection that stays open and whose head it remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from keyvault.clock import Clock
from keyvault.home import Home
from keyvault.proxy.server import serving
from tests.gateway import GWCTL
from tests.proxy.harness import add_upstream, new_home
from tests.proxy.scripted import Provider
from tests.proxy.test_gateway import answer_well

IDLE: Final = timedelta(minutes=10)
WORKERS: Final = 2


class LaterClock(Clock):
    """The system's clock, moved on by what a test says, as if so long had passed."""

    def __init__(self) -> None:
        self.passed = timedelta()

    def now_ms(self) -> int:
        return super().now_ms() + self.passed // timedelta(milliseconds=1)

    def monotonic(self) -> float:
        return super().monotonic() + self.passed.total_seconds()


def revoke_elsewhere(home: Home) -> None:
    """As an operator does it, in another process."""
    words = [GWCTL, "keys", "revoke", "ci-bot", "--yes", "-o", "name"]
    subprocess.run(words, env={**home.environ, "PATH": "/usr/bin:/bin"}, check=True, capture_output=True)


@pytest.mark.parametrize("stored_in", ["sqlite", "postgresql"])
@pytest.mark.parametrize("told", ["the worker has looked by itself", "the request is what makes it look"])
async def test_an_idle_key_is_refused_at_its_first_request_by_every_worker(
    tmp_path: Path, stored_in: str, told: str, request: pytest.FixtureRequest
) -> None:
    environ = {"GWCTL_HOME": str(tmp_path / "home")}
    if stored_in == "postgresql":
        environ["GWCTL_DATABASE_URL"] = request.getfixturevalue("postgresql_url")
    clock = LaterClock()
    async with contextlib.AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider(answer_well).running())
        home = new_home(tmp_path / "home", environ)
        stack.callback(home.close)
        add_upstream(home, "openai", provider.url)
        secret = home.keys.create("ci-bot").secret.reveal()
        clients = [await stack.enter_async_context(worker(environ, clock)) for _ in range(WORKERS)]
        assert [await status(client, secret) for client in clients] == [200] * WORKERS
        served = len(provider.seen)
        clock.passed = IDLE
        await asyncio.to_thread(revoke_elsewhere, home)
        if told == "the worker has looked by itself" or stored_in == "postgresql":
            applied = await asyncio.to_thread(home.workers.wait, "keys", timedelta(seconds=20))
            assert len(applied.done) == WORKERS
        assert [await status(client, secret) for client in clients] == [401] * WORKERS
        assert len(provider.seen) == served


@contextlib.asynccontextmanager
async def worker(environ: dict[str, str], clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """One of several workers, and a client with a connection of its own to it."""
    home = Home(environ, clock)
    async with (
        serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, _),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client,
    ):
        yield client
    home.close()


async def status(client: httpx.AsyncClient, secret: str) -> int:
    body = {"model": "m", "messages": []}
    answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})
    return answer.status_code
