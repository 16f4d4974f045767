"""The comparisons of a home: planned, begun, looked at. What commands, the console and `readiness` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from keyvault.domain.routes import Revision
from keyvault.errors import NotFound, UsageError
from opsconsole.staging.comparison.collecting import earlier_answers
from opsconsole.staging.comparison.comparing import Comparing, Estimate, check_bounded, estimates
from opsconsole.staging.comparison.findings import comparison
from opsconsole.staging.comparison.judge import PATH
from opsconsole.staging.comparison.plan import Plan
from opsconsole.staging.comparison.prompts import Model, Sending, check_models, left_out_text, usable
from opsconsole.staging.costing import Costing
from opsconsole.staging.runs import Run, Runs
from opsconsole.staging.sources import read_source
from opsconsole.view.comparison.report import Comparison

if TYPE_CHECKING:
    from keyvault.home import Home

KIND = "compare"
OWN = "own"
"""The gateway of this home as a place, wherever it listens."""
CAP = 4_096
"""The cap on output that a ceiling gives to prompts without one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a comparison is asked to be."""

    source: str
    models: tuple[str, ...]
    repeat: int = 1
    judge: str | None = None
    limit: int | None = None
    url: str | None = None
    """None: the gateway of this home."""
    stream: bool = True
    max_tokens: int | None = None
    bounded: bool = False
    """There will be a ceiling: prompts without a cap on output get one."""


class Comparisons:
    """Of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.costing = Costing(home)
        self.runs = Runs(home.paths.state, home.clock)

    def plan(self, wanted: Wanted) -> Plan:
        """Read the prompts and find the models. Raises `UsageError`, `NotFound`, `Locked`."""
        names = check_models(wanted.models)
        prompts, left_out = usable(read_source(self._home, wanted.source), wanted.source, wanted.limit)
        path, routes = prompts[0].exchange.path, self._home.routes.current()
        cap = wanted.max_tokens or (CAP if wanted.bounded else None)
        return Plan(
            prompts=tuple(prompts),
            models=tuple(self._model(name, path, wanted.url, routes) for name in names),
            repeat=wanted.repeat,
            sending=Sending(wanted.stream, cap),
            judge=None if wanted.judge is None else self._model(wanted.judge, PATH, wanted.url, routes),
            url=wanted.url,
            place=wanted.url or OWN,
            left_out=left_out_text(left_out),
        )

    def check_ceiling(self, plan: Plan, max_cost_pico: int | None) -> None:
        """Raises `UsageError` where a ceiling could not be kept."""
        if max_cost_pico is not None:
            check_bounded(plan, self.costing)

    def estimates(self, plan: Plan, *, fresh: bool = False) -> list[Estimate]:
        """What each model would cost; nothing is asked."""
        return estimates(plan, self.costing, {} if fresh else earlier_answers(self.runs))

    def begin(self, plan: Plan, source: str) -> Run:
        return self.runs.begin(KIND, f"{', '.join(plan.names)} on {Path(source).name}", plan.told())

    def comparing(self, run: Run, *, fresh: bool = False) -> Comparing:
        """To go on with a run. `fresh`: answers of earlier runs are not taken over."""
        return Comparing(run, {} if fresh else earlier_answers(self.runs, run))

    def open(self, run_id: str | None) -> Run:
        """A run by its id or the end of it; None: the newest. Raises `NotFound`, `UsageError`."""
        if run_id is not None:
            return self.runs.open(KIND, run_id)
        newest = self.runs.newest(KIND)
        if newest is None:
            raise NotFound("nothing was compared yet", hint="gwctl compare prompts.jsonl --models a,b")
        return newest

    def _model(self, name: str, path: str, url: str | None, routes: Revision) -> Model:
        """A model as it is asked for: an alias, a target, or what the default route takes. At another place a name is
        a name."""
        if url is not None:
            return Model(name, name)
        is_alias = any(route.alias == name for route in routes.routes)
        target = None if is_alias else self.costing.target(name)
        if not self.costing.targets(path, target.model if target else name, target):
            raise NotFound(f"nobody serves {name[:70]!a}", hint="an alias of gwctl routes list, or UPSTREAM/MODEL")
        return Model(name, target.model, str(target)) if target else Model(name, name, revision=routes.number)


def finished(run: Run, stopped: str | None = None) -> Comparison:
    """What a run found, put on record. `stopped`: why it did not come to its end."""
    found = comparison(run, stopped)
    run.finish(msgspec.to_builtins(found), verdict_of(found))
    return found


def looked_at(run: Run) -> Comparison:
    """What a run found: its record where nothing has come to it since, else worked out anew. Nothing is written."""
    kept = run.report
    try:
        found = None if kept is None else msgspec.convert(kept, Comparison)
    except msgspec.ValidationError:  # an earlier version of this program has written it
        found = None
    return found if found is not None and found.records == len(run.done()) else comparison(run)


def shown(run: Run) -> Comparison:
    """The same, put on record where the run has ended and something has come to it since, such as a review."""
    found = looked_at(run)
    if run.report not in (None, msgspec.to_builtins(found)):
        run.finish(msgspec.to_builtins(found), verdict_of(found))
    return found


def verdict_of(found: Comparison) -> str:
    """A run's verdict: `stopped`, the best model, or that no difference is shown."""
    if found.unfinished is not None:
        return "stopped"
    best = next((each.model for each in found.best if each.task is None and each.model), None)
    return f"best: {best}" if best else "no difference shown"


def check_guard(plan: Plan, baseline: str | None, margin: float | None) -> None:
    """Raises `UsageError` for a guard that could never hold or break."""
    if baseline is None:
        if margin is not None:
            raise UsageError("--margin says how much worse than what", hint="--fail-if-worse MODEL")
        return
    if baseline not in plan.names:
        raise UsageError(f"{baseline[:70]!a} is not compared", hint=f"one of {', '.join(plan.names)}")
    if plan.judge is None and all(prompt.expectation is None for prompt in plan.prompts):
        raise UsageError("nothing tells which answers are worse", hint="give prompts `expected`, or --judge MODEL")
