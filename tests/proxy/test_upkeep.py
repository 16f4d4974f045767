"""What a worker does for its upstreams beside the requests: here, what its log tells of alerts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import structlog

from keyvault.home import Home
from keyvault.proxy.supervision import Supervisor
from keyvault.proxy.tables import Tables
from keyvault.proxy.upkeep import ROUNDS_BETWEEN, Upkeep
from tests.proxy.harness import new_home

Logged = Callable[[], Awaitable[list[str]]]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = new_home(tmp_path / "home")
    yield home
    home.close()


@pytest.fixture
async def logged(home: Home) -> AsyncIterator[Logged]:
    """Goes round until alerts were looked at, and gives the scopes of those that were logged."""
    tables = Tables(home)
    upkeep = Upkeep(home, tables, Supervisor(home.alerts))

    async def look() -> list[str]:
        with structlog.testing.capture_logs() as lines:
            for _ in range(ROUNDS_BETWEEN):
                await upkeep.once()
        return [line["scope"] for line in lines if line["event"] == "alert"]

    yield look
    tables.close()


async def test_each_open_alert_is_logged_once_whoever_raised_it_and_whatever_else_is_open(
    home: Home, logged: Logged
) -> None:
    assert await logged() == []
    for scope in ("first", "second"):
        home.alerts.raise_alert("rotation_failed", scope, "it failed")
    assert await logged() == ["first", "second"]
    home.alerts.raise_alert("rotation_failed", "first", "it failed again")
    assert await logged() == []
    home.alerts.resolve("rotation_failed", "second")
    assert await logged() == []
    home.alerts.raise_alert("rotation_failed", "third", "it failed")
    assert await logged() == ["third"]


async def test_an_alert_that_was_over_and_is_raised_anew_is_logged_anew(home: Home, logged: Logged) -> None:
    for scope in ("other", "key:ci-bot"):
        home.alerts.raise_alert("rotation_failed", scope, "it failed")
    await logged()
    home.alerts.resolve("rotation_failed", "key:ci-bot")
    home.alerts.raise_alert("rotation_failed", "key:ci-bot", "it failed")
    assert await logged() == ["key:ci-bot"]


async def test_of_many_alerts_at_once_all_are_logged(home: Home, logged: Logged) -> None:
    scopes = [f"keys:{number}" for number in range(120)]
    for scope in scopes:
        home.alerts.raise_alert("tampered_row", scope, "it is not what was sealed")
    assert await logged() == scopes
