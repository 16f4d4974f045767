"""A few changes of the routes under load; a hundred by `python -m tests.faults.route_changes --changes 100`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.route_changes import run_changes


@pytest.mark.timeout(120)
def test_no_request_fails_while_routes_change_and_the_next_one_follows(tmp_path: Path) -> None:
    load, problems = run_changes(5, tmp_path, clients=4, say=lambda text: None)
    assert problems == []
    assert len({served.model for served in load.served}) > 1
