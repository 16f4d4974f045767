"""The pane of the Staging screen: what there is to say of the cursor's row without its tables."""

from __future__ import annotations

from dataclasses import replace

from opsconsole.view.paper import Paper
from opsconsole.view.staging import reports, trial
from opsconsole.view.staging.page import lines
from opsconsole.view.staging.snapshot import (
    StagingSnapshot,
    capture_key,
    drill_key,
    rollout_key,
)
from opsconsole.view.table import RowKey
from opsconsole.view.text import Line


def beside(snapshot: StagingSnapshot, key: RowKey | None, width: int) -> tuple[Line, ...]:
    """Lines of `width` characters; none where there is no row."""
    paper = _paper(snapshot, key)
    return lines(replace(paper, tables=()), width) if paper is not None else ()


def _paper(snapshot: StagingSnapshot, key: RowKey | None) -> Paper | None:
    now = snapshot.taken_at
    for status in snapshot.trials:
        if rollout_key(status.rollout) == key:
            return trial.paper(status, now)
    for rollout in snapshot.ended:
        if rollout_key(rollout) == key:
            return trial.ended(rollout)
    for drill in snapshot.drills:
        if drill_key(drill) == key:
            return reports.running_drill(drill, now)
    for capture in snapshot.taken:
        if capture_key(capture) == key:
            return reports.capture(capture, now)
    return next((reports.head(run) for run in snapshot.runs if run.key == key), None)
