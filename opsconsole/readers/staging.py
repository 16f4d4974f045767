"""Answers the questions of the Staging screen: what is on trial now, what the kit's runs have found.

A run is read again only when its files have changed, and a rollout's arms, which are summed from the ledger, only every
few seconds or when the routes have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from keyvault.errors import NotFound
from opsconsole.readers.around import Surroundings
from opsconsole.readers.names import names_of
from opsconsole.staging.runs import Run, Runs
from opsconsole.view.paper import Paper
from opsconsole.view.staging import reports, trial
from opsconsole.view.staging.snapshot import (
    COMPARE,
    RunRow,
    StagingQuestion,
    StagingSnapshot,
)
from opsconsole.view.table import RowKey

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.routing.rollouts import Status

MOST_RUNS: Final = 500
MOST_ROLLOUTS: Final = 50
ARMS_AGE: Final = timedelta(seconds=5)


class StagingReader:
    def __init__(self, home: Home, around: Surroundings) -> None:
        self._home = home
        self._around = around
        self._runs = Runs(home.paths.state, home.clock)
        self._known: dict[tuple[str, str], tuple[object, RunRow]] = {}
        self._trials: tuple[datetime, int, tuple[Status, ...]] | None = None

    def read(self, question: StagingQuestion) -> StagingSnapshot:
        home, now = self._home, self._home.clock.now()
        around = self._around.read(now, home.workers.live())
        found = self._runs.each()
        return StagingSnapshot(
            question=question,
            taken_at=now,
            trials=self._live(now),
            ended=tuple(each for each in home.rollouts.list(MOST_ROLLOUTS) if not each.live),
            drills=tuple(home.drills.running()),
            taken=tuple(home.captures.list()),
            runs=self._rows(found[:MOST_RUNS]),
            more=len(found) > MOST_RUNS,
            names=names_of(home.routes.current(), self._around),
            paper=None if question.opened is None else self._paper(question.opened, now),
            **around,
        )

    def _live(self, now: datetime) -> tuple[Status, ...]:
        epoch = self._home.workers.epochs()["routes"]
        kept = self._trials
        if kept is None or kept[1] != epoch or now - kept[0] >= ARMS_AGE:
            rollouts = self._home.rollouts
            kept = self._trials = now, epoch, tuple(rollouts.status(str(each.id)) for each in rollouts.live())
        return kept[2]

    def _rows(self, found: Sequence[Run]) -> tuple[RunRow, ...]:
        known = {}
        for run in found:
            stamp = run.stamp
            kept = self._known.get((run.kind, run.id))
            known[run.kind, run.id] = kept if kept is not None and kept[0] == stamp else (stamp, _row(run))
        self._known = known
        return tuple(row for _, row in known.values())

    def _paper(self, key: RowKey, now: datetime) -> Paper | None:
        """All of one row; None where it has gone meanwhile."""
        home = self._home
        try:
            match key:
                case (_, "rollout", number):
                    return trial.paper(home.rollouts.status(number), now)
                case (_, "drill", number):
                    return next(
                        (reports.running_drill(each, now) for each in home.drills.list() if str(each.id) == number),
                        None,
                    )
                case (name, "capture"):
                    return reports.capture(home.captures.show(int(name.partition(":")[2])), now)
                case (run_id, kind):
                    return paper_of(self._runs.open(kind, run_id))
        except NotFound:
            return None
        raise ValueError(key)


def paper_of(run: Run) -> Paper:
    """What a run found, as far as it has come."""
    row, report = _row(run), run.report
    if run.kind == COMPARE:
        return _comparison(run, report)
    if report is None:
        hint = {COMPARE: "", "replay": f"gwctl replay --resume {run.id[-8:]}"}.get(run.kind, "")
        return reports.unfinished(row, run.done().values(), hint and f"go on with: {hint}")
    match run.kind:
        case "check":
            from opsconsole.view.checking.report import CheckReport

            return reports.check(
                row, CheckReport.of_json({name: value for name, value in report.items() if name != "ok"})
            )
        case "replay":
            return reports.replay(row, report)
        case "drill":
            return reports.drill(row, report)
        case _:
            from opsconsole.view.readiness.forms import paper
            from opsconsole.view.readiness.report import Readiness

            return paper(msgspec.convert(report, Readiness))


def _comparison(run: Run, report: dict[str, Any] | None) -> Paper:
    """From its record where nothing has come to it since; nothing is put on record by looking."""
    from opsconsole.staging.comparison.findings import comparison
    from opsconsole.view.comparison.forms import paper
    from opsconsole.view.comparison.report import Comparison

    if report is not None and report["records"] == len(run.done()):
        return paper(msgspec.convert(report, Comparison))
    return paper(comparison(run))


def _row(run: Run) -> RunRow:
    told = run.summary()
    return RunRow(told.kind, told.id, told.title, told.began_at, told.ended_at, told.verdict, told.items)
