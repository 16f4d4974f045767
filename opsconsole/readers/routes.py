"""Answers the questions of the Routes view and of the history of revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from keyvault.domain.routes import Revision
from keyvault.domain.workers import Worker
from opsconsole.readers.around import Surroundings
from opsconsole.readers.names import names_of
from opsconsole.view.live import reading
from opsconsole.view.routes.snapshot import (
    WELL,
    Condition,
    Leg,
    RevisionsQuestion,
    RevisionsSnapshot,
    RoutesQuestion,
    RoutesSnapshot,
    Step,
    legs,
)
from opsconsole.view.snapshot import TargetTraffic

if TYPE_CHECKING:
    from keyvault.home import Home

MOST_REVISIONS: Final = 100
_LOOKED_BACK: Final = timedelta(minutes=5)


class RoutesReader:
    def __init__(self, home: Home, around: Surroundings, zone: str) -> None:
        self._home = home
        self._around = around
        self._zone = zone
        self._history: tuple[int, tuple[Step, ...], bool] = (-1, (), False)

    def read(self, question: RoutesQuestion) -> RoutesSnapshot:
        home = self._home
        revision, workers = home.routes.current(), home.workers.live()
        around = self._around.read(home.clock.now(), workers)
        traffic, conditions = self._traffic(), _conditions(workers, revision)
        return RoutesSnapshot(
            question=question,
            taken_at=home.clock.now(),
            revision=revision,
            legs=tuple(
                Leg(
                    route,
                    choice,
                    order,
                    share,
                    conditions.get(str(choice.target), WELL),
                    traffic.get(str(choice.target)),
                )
                for route in revision.routes
                for choice, order, share in legs(route)
            ),
            default_upstream=home.settings.default_upstream,
            rollouts=tuple(home.rollouts.live()),
            names=names_of(revision, self._around),
            **around,
        )

    def revisions(self, question: RevisionsQuestion) -> RevisionsSnapshot:
        home = self._home
        current = home.routes.current().number
        if self._history[0] != current:  # a revision never changes, so that only new ones are read
            self._history = (current, *self._steps(current))
        now = home.clock.now()
        return RevisionsSnapshot(
            question=question,
            taken_at=now,
            steps=self._history[1],
            more=self._history[2],
            **self._around.read(now, home.workers.live()),
        )

    def _steps(self, current: int) -> tuple[tuple[Step, ...], bool]:
        from keyvault.routing import described

        found = list(self._home.routes.history(MOST_REVISIONS + 1))
        more = len(found) > MOST_REVISIONS
        before = found if more else [*found, self._home.routes.revision(0)]
        steps = (
            Step(one, described.changes(other.routes, one.routes), one.number == current)
            for one, other in pairwise(before)
        )
        return tuple(steps), more

    def _traffic(self) -> Mapping[str, TargetTraffic]:
        live = self._home.reports.live(_LOOKED_BACK, "target", self._zone)
        return {target.target: target for target in reading.targets(live.targets, self._around.disabled)}


def _conditions(workers: Sequence[Worker], revision: Revision) -> Mapping[str, Condition]:
    """The worst that any worker says of each target."""
    from keyvault.routing.reported import reports

    found: dict[str, Condition] = {}
    for report in reports(workers, revision.routes):
        found.setdefault(report.target, Condition(report.state.value, report.why, report.until))
    return found
