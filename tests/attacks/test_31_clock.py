"""31. The clock put back by a day, then forward by ten years → nothing is revived; a mass expiry asks first."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from keyvault.clock import Clock
from keyvault.domain.vault import SlotKind
from keyvault.errors import Conflict
from keyvault.home import Home
from keyvault.proxy.server import serving
from keyvault.proxy.timekeeper import MANY
from tests.attacks.door import answer_well
from tests.proxy.harness import add_upstream
from tests.proxy.scripted import Provider

DAY = 86_400_000
Ask = Callable[[str], Awaitable[int]]


class SetClock(Clock):
    """The system's clock, put back or forward by somebody; the monotonic one is as it is."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.offset_ms


def home_with(tmp_path: Path, clock: Clock) -> Home:
    home = Home({"GWCTL_HOME": str(tmp_path / "home")}, clock)
    if not home.exists:
        home.initialise(SlotKind.FILE)
    return home


def expiring(home: Home, name: str, days: int) -> str:
    return home.keys.create(name, expires_at=home.clock.now() + timedelta(days=days)).secret.reveal()


@contextlib.asynccontextmanager
async def served(home: Home) -> AsyncIterator[Ask]:
    """A gateway on this home; what is yielded gives the status of a chat with a key."""
    async with (
        serving(home, "127.0.0.1:0", "127.0.0.1:0") as (url, _admin),
        httpx.AsyncClient(base_url=url, trust_env=False, verify=False, timeout=20) as client,
    ):

        async def ask(key: str) -> int:
            headers = {"authorization": f"Bearer {key}"}
            return (
                await client.post("/v1/chat/completions", json={"model": "m", "messages": []}, headers=headers)
            ).status_code

        yield ask
    home.close()


async def test_putting_the_clock_back_revives_no_expired_key(tmp_path: Path) -> None:
    clock = SetClock()
    async with Provider(answer_well).running() as provider:
        home = home_with(tmp_path, clock)
        add_upstream(home, "openai", provider.url)
        short, lasting = expiring(home, "short", 1), expiring(home, "lasting", 90)
        clock.offset_ms = 2 * DAY
        async with served(home) as ask:
            assert await ask(short) == 401
            clock.offset_ms = 0
            assert await ask(short) == 401
            assert await ask(lasting) == 200
        async with served(home_with(tmp_path, clock)) as ask:  # nor in the next process
            assert await ask(short) == 401
            assert await ask(lasting) == 200


async def test_a_jump_of_ten_years_expires_few_keys_and_asks_before_it_expires_many(tmp_path: Path) -> None:
    clock = SetClock()
    async with Provider(answer_well).running() as provider:
        home = home_with(tmp_path, clock)
        add_upstream(home, "openai", provider.url)
        keys = [expiring(home, f"k{n}", 90) for n in range(MANY)]
        async with served(home) as ask:
            clock.offset_ms = 3650 * DAY
            assert await ask(keys[0]) == 401
            clock.offset_ms = 0
            assert await ask(keys[0]) == 200
        home = home_with(tmp_path, clock)
        expiring(home, "one-more", 90)
        async with served(home) as ask:
            clock.offset_ms = 3650 * DAY
            assert await ask(keys[0]) == 200


async def test_starting_ten_years_later_asks_before_many_keys_expire(tmp_path: Path) -> None:
    clock = SetClock()
    home = home_with(tmp_path, clock)
    for n in range(MANY + 1):
        expiring(home, f"k{n}", 90)
    async with serving(home, "127.0.0.1:0", "127.0.0.1:0"):
        pass
    clock.offset_ms = 3650 * DAY
    with pytest.raises(Conflict, match="keys would expire"):
        async with serving(home, "127.0.0.1:0", "127.0.0.1:0"):
            pass
    async with serving(home, "127.0.0.1:0", "127.0.0.1:0", accept_clock=True):
        pass
    home.close()
