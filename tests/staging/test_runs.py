"""Runs survive interruption, are nobody else's to read, and go away when they are deleted."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keyvault.clock import Clock
from keyvault.errors import Conflict, NotFound, UsageError
from opsconsole.staging.runs import Run, Runs


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path, Clock())


def again(run: Run) -> Run:
    """The run as another process would find it."""
    return Run(run.directory, Clock())


def test_an_interrupted_run_knows_what_is_done(runs: Runs) -> None:
    run = runs.begin("replay", "yesterday", {"file": "a.jsonl"})
    run.add("1", {"status": 200})
    run.release()
    with (run.directory / "items.jsonl").open("ab") as lines:
        lines.write(b'{"id": "2", "rec')  # the process was killed in mid-write
    later = again(run)
    assert (later.title, later.plan, later.report) == ("yesterday", {"file": "a.jsonl"}, None)
    assert later.done() == {"1": {"status": 200}}
    later.add("2", {"status": 500})
    later.finish({"failed": 1}, "failed")
    assert again(run).done() == {"1": {"status": 200}, "2": {"status": 500}}
    assert again(run).report == {"failed": 1}
    assert runs.summaries("replay")[0].verdict == "failed"


def test_two_processes_cannot_go_on_with_the_same_run(runs: Runs) -> None:
    run = runs.begin("compare", "a, b", {})
    run.add("1", {})
    with pytest.raises(Conflict, match="under way"):
        again(run).add("2", {})
    with pytest.raises(Conflict, match="under way"):
        again(run).delete()


def test_runs_are_private_and_deleted_whole(runs: Runs, tmp_path: Path) -> None:
    run = runs.begin("drill", "429", {})
    run.add("1", {})
    run.finish({}, "passed")
    for path in [tmp_path / "staging", *(tmp_path / "staging").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    run.delete()
    assert runs.summaries() == []


def test_a_run_is_found_by_the_end_of_its_id(runs: Runs) -> None:
    run = runs.begin("check", "here", {})
    assert runs.open("check", run.id[-6:]).id == run.id
    assert runs.newest("check") is not None
    for wrong in ("../../etc", "zzzzzz", "", run.id[-3:]):
        with pytest.raises((NotFound, UsageError)):
            runs.open("check", wrong)
