"""17. A key that was revoked while it was idle for 10 minutes → 401 at its first request, at every worker.

Every worker has served the key before, on a connection that stays open and whose head it remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Sequence
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
    words: list[str | Path] = [GWCTL, "keys", "revoke", "ci-bot", "--yes", "-o", "name"]
    subprocess.run(words, env={**home.environ, "PATH": "/usr/bin:/bin"}, check=True, capture_output=True)


@pytest.mark.parametrize("stored_in", ["sqlite", "postgresql"])
async def test_an_idle_key_is_refused_at_its_first_request_by_every_worker(
    tmp_path: Path, stored_in: str, request: pytest.FixtureRequest
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
        applied = await asyncio.to_thread(home.workers.wait, "keys", timedelta(seconds=20))
        assert len(applied.done) == WORKERS
        assert [await status(client, secret) for client in clients] == [401] * WORKERS
        assert len(provider.seen) == served


async def test_a_request_that_comes_before_the_worker_has_looked_by_itself_is_refused_too(tmp_path: Path) -> None:
    """The workers share this event loop, which stands still from the revocation until the request lies in the socket:
    what has come is read before any timer."""
    environ, clock = {"GWCTL_HOME": str(tmp_path / "home")}, LaterClock()
    async with contextlib.AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider(answer_well).running())
        home = new_home(tmp_path / "home", environ)
        stack.callback(home.close)
        add_upstream(home, "openai", provider.url)
        secret = home.keys.create("ci-bot").secret.reveal()
        clients = [await stack.enter_async_context(worker(environ, clock)) for _ in range(WORKERS)]
        lines = [await asyncio.open_connection(c.base_url.host, c.base_url.port) for c in clients]
        for _, writer in lines:
            stack.callback(writer.close)
        assert await statuses(lines, secret) == [200] * WORKERS
        served = len(provider.seen)
        clock.passed = IDLE
        revoke_elsewhere(home)
        assert await statuses(lines, secret) == [401] * WORKERS
        assert len(provider.seen) == served


async def statuses(lines: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]], secret: str) -> list[int]:
    """Ask on every connection before anything else may happen in this event loop."""
    body = b'{"model":"m","messages":[]}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer {secret}\r\n"
    for _, writer in lines:
        writer.write(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
    return [await status_of(reader) for reader, _ in lines]


async def status_of(reader: asyncio.StreamReader) -> int:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 15)).decode()
    if length := re.search(r"content-length: (\d+)", head):
        await reader.readexactly(int(length[1]))
    else:
        await reader.readuntil(b"\r\n0\r\n\r\n")
    return int(head.split()[1])


@contextlib.asynccontextmanager
async def worker(environ: dict[str, str], clock: Clock) -> AsyncIterator[httpx.AsyncClient]:
    """One of several workers, and a client with a connection of its own to it."""
    home = Home(environ, clock)
    async with (
        serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, _),
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20) as client,
    ):
        yield client
    home.close()


async def status(client: httpx.AsyncClient, secret: str) -> int:
    body = {"model": "m", "messages": []}
    answer = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"})
    return answer.status_code
