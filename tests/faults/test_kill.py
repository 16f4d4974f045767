"""P1, P2, P3: kill -9 at random instants under load loses nothing and charges nothing twice."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.faults.rounds import run_rounds

ROUNDS = 8


@pytest.mark.timeout(180)
def test_a_killed_gateway_loses_no_request_and_charges_none_twice(tmp_path: Path) -> None:
    seed = secrets.randbelow(10**6)
    print(f"repeat with: python -m tests.faults --rounds {ROUNDS} --seed {seed}")
    outcomes = run_rounds(ROUNDS, seed, tmp_path, say=print)
    assert outcomes.problems == []
    assert outcomes.seen > 50, "the load was too thin for the kills to mean anything"
    assert outcomes.completed > 20
    assert outcomes.lost > 0, "no kill ever hit a request in flight"
