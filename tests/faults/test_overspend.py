"""P4: whatever clients, providers and kills do at the same time, the provider takes no more than was paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.overspend import run_rounds

ROUNDS = 3
CALLS = 60
SEED = 4


@pytest.mark.timeout(120)
def test_a_provider_takes_no_more_than_the_customer_paid_for(tmp_path: Path) -> None:
    rounds = run_rounds(ROUNDS, SEED, tmp_path, calls=CALLS, say=print)
    assert [problem for one in rounds for problem in one.problems] == []
    assert sum(one.answered["answered"] for one in rounds) > 0, "nothing was served: the rounds prove nothing"
    assert sum(one.answered["refused"] for one in rounds) > 10, "the money was never short"
