"""A data key rotated under a proxy that is being used: the small version of `python -m tests.benchmarks.rewrap`."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.rewrap import measure


def test_no_request_fails_while_every_record_is_sealed_anew(tmp_path: Path) -> None:
    found = measure(tmp_path, 400)
    assert found.records == 401
    assert found.requests > 100
    assert found.failed == 0
