"""Somebody with the database file edits figures that no seal covers: nobody's requests suffer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from keyvault.domain.captures import Plan
from keyvault.domain.drills import Fault
from keyvault.domain.guards import parse_guard
from keyvault.domain.rollouts import Plan as RolloutPlan
from keyvault.domain.routes import Target
from tests.attacks.conftest import read, write
from tests.proxy.harness import Running, add_upstream, new_home, running
from tests.proxy.scripted import Line, Provider, Seen, completion

FAR = 10**18
"""Milliseconds that no calendar has."""
EDITS = [
    ("drills", "fault", "x"),
    ("drills", "until_ms", FAR),
    ("drills", "until_ms", "x"),
    ("drills", "created_ms", -FAR),
    ("rollouts", "step", 99),
    ("rollouts", "step", -1),
    ("rollouts", "step", "x"),
    ("rollouts", "step_started_ms", FAR),
    ("rollouts", "ended_ms", FAR),
    ("captures", "reason", "x"),
    ("captures", "taken", "x"),
    ("captures", "bytes", -5),
    ("captures", "ended_ms", FAR),
]


async def answer_well(seen: Seen, line: Line) -> None:
    await line.answer(200, completion(model=seen.json["model"]))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """With a drill of another key, a rollout and a capture."""
    async with Provider(answer_well).running() as provider:
        home = new_home(tmp_path / "home")
        for name in ("old", "new"):
            add_upstream(home, name, provider.url)
        home.routes.set("m", [Target("old", "m")])
        home.keys.create("drilled")
        home.drills.start("drilled", Target("old", "m"), Fault.SERVER, timedelta(minutes=1))
        home.rollouts.start("m", Target("new", "m"), RolloutPlan(guards=(parse_guard("error_rate < +1%"),)))
        plan = Plan(most=1_000, max_bytes=10**7, keep_seconds=1)
        home.captures.start(None, sample_ppm=1_000_000, lasts=timedelta(hours=1), plan=plan)
        async with running(home) as gateway:
            yield gateway


async def test_nonsense_in_a_row_that_nobody_vouches_for_stops_nobody(gateway: Running, tmp_path: Path) -> None:
    for table, column, value in EDITS:
        [before] = read(tmp_path / "home", f"SELECT {column} FROM {table}")
        for each in (value, *before):
            assert write(tmp_path / "home", f"UPDATE {table} SET {column} = ?", each) == 1
            write(tmp_path / "home", "UPDATE epochs SET routes = routes + 1")
            assert (await gateway.chat()).status_code == 200, (table, column, each)
    assert (await gateway.client.get(f"{gateway.admin}/readyz")).status_code == 200


async def test_a_drill_that_was_made_longer_than_an_hour_is_none(gateway: Running, tmp_path: Path) -> None:
    forged = "UPDATE drills SET key_id = (SELECT id FROM keys WHERE name = 'tester'), until_ms = until_ms + ?"
    write(tmp_path / "home", forged, 24 * 3600 * 1000)
    write(tmp_path / "home", "UPDATE epochs SET routes = routes + 1")
    assert {(await gateway.chat()).status_code for _ in range(3)} == {200}
