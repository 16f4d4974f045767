"""Guards over whole rollouts: healthy targets stay, bad ones go soon. `python -m tests.faults.rollouts` has more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.rollouts import PLAN, TARGETS, rounds

FEW = 12
HEALTHY = ("healthy: the same", "healthy: at every bound", "healthy: better")
CUSTOMERS = 60
SOON = {"errors +10 points": 60, "all requests fail": 5, "times doubled": 120, "cost tripled": 120}
"""Minutes within which most are out, at a request a second with 5 % for the target."""


@pytest.mark.parametrize("name", HEALTHY)
def test_a_target_that_keeps_its_bounds_is_taken_out_no_oftener_than_stated(name: str) -> None:
    """With a stated rate as high as one in two, that it is kept shows in a few rounds."""
    found = rounds(name, replace(PLAN, alpha=0.5), TARGETS[name], FEW, seed=1)
    assert found.taken_out <= FEW // 2
    assert found.taken_out + found.finished == FEW


@pytest.mark.parametrize("name", SOON)
def test_a_bad_target_is_taken_out_soon(name: str) -> None:
    found = rounds(name, PLAN, TARGETS[name], FEW, seed=1)
    assert found.taken_out == FEW
    assert found.median_s is not None
    assert found.median_s <= SOON[name] * 60


def test_customers_that_are_unlike_each_other_take_no_target_out() -> None:
    found = rounds("healthy", replace(PLAN, alpha=0.5), TARGETS["healthy: the same"], FEW, seed=1, among=CUSTOMERS)
    assert found.taken_out <= FEW // 2
