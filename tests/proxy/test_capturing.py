"""Captures as clients and operators see them: what is kept of a request, and of whom nothing is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.captures.captured import Captured
from keyvault.domain.captures import Capture, Plan
from keyvault.domain.keys import PolicyChange
from keyvault.domain.scopes import parse_scope
from tests.proxy.harness import UPSTREAM_SECRET, Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

CANARY = "a prompt that nobody may read 7f3a"


async def answer(seen: Seen, line: Line) -> None:
    if not seen.json.get("stream"):
        await line.answer(200, completion(CANARY))
        return
    await line.begin_stream()
    for word in ("mail me: joe.d", "oe@exam", "ple.com", " soon"):
        await line.event({"id": "c", "choices": [{"index": 0, "delta": {"content": word}}]})
    await line.event({"id": "c", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
    await line.event("[DONE]")
    await line.end_stream()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(answer).running() as listening:
        yield listening


@pytest.fixture
async def gw(tmp_path: Path, provider: Provider) -> AsyncIterator[Running]:
    home = new_home(tmp_path / "home")
    add_upstream(home, "up", provider.url)
    async with running(home) as serving:
        yield serving


def start(gw: Running, scope: str | None = "key:tester", **plan: object) -> Capture:
    bounds = {"most": 100, "max_bytes": 10**9, "keep_seconds": 3600, **plan}
    named = None if scope is None else parse_scope(scope)
    return gw.home.captures.start(named, sample_ppm=10**6, lasts=timedelta(hours=1), plan=Plan(**bounds))  # type: ignore[arg-type]


async def captured(gw: Running, capture: Capture, count: int) -> list[Captured]:
    """What lies on disk, once there is as much."""
    for _ in range(500):
        found = await asyncio.to_thread(lambda: list(gw.home.captures.export(capture.id)))
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(found)} exchanges, not {count}")


async def test_an_exchange_is_kept_whole_without_anybodys_credential(gw: Running, provider: Provider) -> None:
    capture = start(gw)
    said = await gw.chat(messages=[{"role": "user", "content": CANARY}])
    (found,) = await captured(gw, capture, 1)

    assert found.body is not None and json.loads(found.body)["messages"][0]["content"] == CANARY
    assert found.answer is not None and found.answer.body == said.content and found.answer.whole
    assert (found.id, found.model, found.target) == (said.headers["x-request-id"], "m", "up/m")
    assert (found.outcome, found.usage and found.usage.output, found.cost_pico) == ("served", 3, 13_000_000)
    assert (found.key, found.customer, found.project) == ("tester", "default", "default")
    assert found.total_ms is not None and found.first_content_ms is not None
    assert not found.redacted and not found.cut
    everything = repr(found)
    assert gw.key not in everything and UPSTREAM_SECRET not in everything and "authorization" not in everything
