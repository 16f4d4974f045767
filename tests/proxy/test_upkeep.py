"""What a worker does for its upstreams, and with alerts, away from the requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import structlog

from keyvault.domain.vault import CredentialState
from keyvault.home import Home
from keyvault.proxy.supervision import Supervisor
from keyvault.proxy.tables import Tables
from keyvault.proxy.upkeep import ROUNDS_BETWEEN, Upkeep
from keyvault.secrets import Secret
from tests.proxy.harness import add_upstream, new_home


@dataclass
class NoUpstreams:
    """Tables of a worker that serves none."""

    refused: dict[int, Any] = field(default_factory=dict)
    upstreams: dict[str, Any] = field(default_factory=dict)


def upkeep_of(home: Home) -> Upkeep:
    return Upkeep(home, cast(Tables, NoUpstreams()), Supervisor(home.alerts))


async def logged(upkeep: Upkeep) -> list[str]:
    """The alerts that are written into the log until everything was looked at once more."""
    with structlog.testing.capture_logs() as entries:
        for _ in range(ROUNDS_BETWEEN):
            await upkeep.once()
    return [entry["text"] for entry in entries if entry["event"] == "alert"]


async def test_each_open_alert_is_logged_once_and_anew_when_it_is_raised_again(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    upkeep = upkeep_of(home)
    home.alerts.raise_alert("disk_full", "ledger", "the disk is full")
    home.alerts.raise_alert("price_missing", "target:up0/m", "no price")
    assert await logged(upkeep) == ["the disk is full", "no price"]
    home.alerts.raise_alert("disk_full", "ledger", "the disk is full")
    assert await logged(upkeep) == []
    home.alerts.resolve("price_missing", "target:up0/m")
    home.alerts.raise_alert("upstream_down", "upstream:up0", "up0 is down")
    assert await logged(upkeep) == ["up0 is down"]
    home.alerts.resolve("disk_full", "ledger")
    home.alerts.raise_alert("disk_full", "ledger", "the disk is full again")
    assert await logged(upkeep) == ["the disk is full again"]
    home.close()


async def test_a_secret_is_destroyed_when_its_overlap_is_over(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    add_upstream(home, "up0", "http://127.0.0.1:9")
    upkeep = upkeep_of(home)
    await logged(upkeep)
    home.credentials.stage("up0", Secret("sk-another-credential"))
    home.credentials.promote("up0", overlap=timedelta(milliseconds=1))
    for _ in range(2):  # a millisecond later at the latest
        await logged(upkeep)
    states = [each.state for each in home.credentials.of("up0")]
    assert states == [CredentialState.RETIRED, CredentialState.CURRENT]
    home.close()
