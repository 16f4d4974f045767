"""Twelve cron jobs rotate one key at once: always exactly one new secret, and the file holds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rotations import Crons

REPETITIONS = {"sqlite": 5, "postgresql": 1}
AT_ONCE = 12


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", REPETITIONS)
def test_twelve_jobs_at_once_make_one_new_secret(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgresql_url") if kind == "postgresql" else None
    crons = Crons(tmp_path, url)
    problems = [problem for number in range(REPETITIONS[kind]) for problem in crons.repeat(number, AT_ONCE)]
    crons.home.close()
    assert problems == []
