"""How targets are, as the workers that run tell it in their heartbeats: for people, and for trying a route out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keyvault.clock import from_ms
from keyvault.domain.routes import Route, Target
from keyvault.domain.workers import Worker
from keyvault.routing.health import State


@dataclass(frozen=True, slots=True)
class Report:
    """One target as one worker sees it."""

    target: str
    state: State
    worker: str | None = None
    """None: no worker has anything against it."""
    since: datetime | None = None
    until: datetime | None = None
    why: str | None = None
    in_a_row: int = 0
    requests: int = 0
    failures: int = 0


class Reported:
    """Health for a planner that sends nothing: a target is well if no worker says otherwise."""

    def __init__(self, reports: Iterable[Report]) -> None:
        self._unwell = {report.target: report for report in reports if report.state is not State.CLOSED}

    def __bool__(self) -> bool:
        return bool(self._unwell)

    def available(self, target: Target) -> bool:
        report = self._unwell.get(str(target))
        return report is None or report.state is State.HALF_OPEN

    def state(self, target: Target) -> State:
        report = self._unwell.get(str(target))
        return State.CLOSED if report is None else report.state


def reports(workers: Iterable[Worker], routes: Sequence[Route] = ()) -> list[Report]:
    """What the workers say, and of each target of the routes that they say nothing: those in trouble first."""
    told = [_report(worker.id, each) for worker in workers for each in worker.state.get("targets", ())]
    named = {report.target for report in told}
    quiet = {str(target) for route in routes for target in route.targets} - named
    found = [*told, *(Report(target, State.CLOSED) for target in quiet)]
    return sorted(found, key=lambda report: (report.state is State.CLOSED, report.target, report.worker or ""))


def _report(worker: str, told: Mapping[str, Any]) -> Report:
    since, until = told.get("since_ms"), told.get("until_ms")
    return Report(
        target=str(told["target"]),
        state=State(told["state"]),
        worker=worker,
        since=None if since is None else from_ms(since),
        until=None if until is None else from_ms(until),
        why=told.get("why") or None,
        in_a_row=int(told.get("in_a_row", 0)),
        requests=int(told.get("requests", 0)),
        failures=int(told.get("failures", 0)),
    )
