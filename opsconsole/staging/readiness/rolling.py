"""Step 6: does a little traffic go to the new target, and back? On an alias made for it; the real one is not touched.

Of the real alias a rollout is rehearsed, which says what its guards could find.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import msgspec

from keyvault.clock import to_ms, ulid_at
from keyvault.domain.rollouts import WHOLE_PPM
from keyvault.domain.rollouts import Plan as RolloutPlan
from keyvault.domain.routes import Choice, Route, Target
from keyvault.errors import Conflict, NotFound
from keyvault.routing.rollouts import Started
from keyvault.routing.telling import amount
from opsconsole.staging.asking import said
from opsconsole.staging.places import APPLIED_WITHIN
from opsconsole.staging.readiness.drilling import about_one
from opsconsole.staging.readiness.load import Change, Phase, under_load
from opsconsole.staging.readiness.plan import Rollout
from opsconsole.staging.readiness.step import PURPOSE, Standing
from opsconsole.view.readiness.report import Evidence, Step

NAME = "rollout"
HALF = (WHOLE_PPM // 2,)
LEFT_OVER = timedelta(hours=1)
"""An alias of ours that is older was left by a readiness that was killed."""
STARTED, ROLLED_BACK, CHANGED, REVERTED = "rollout", "rolled back", "routes changed", "routes rolled back"


def there_and_back(here: Standing, plan: Rollout) -> Step:
    """Change routes under load. Raises `GatewayError` where it cannot be tried."""
    evidence = list(_foreseen(rehearsed(here, plan)))
    was = {str(target) for target in here.targets()}
    with _alias(here) as route, here.key() as (_, place):
        body = msgspec.json.encode(here.question(model=route.alias))
        changes = _Journey(here, plan, route).changes()
        each = -(-plan.requests // (len(changes) + 1))
        phases = asyncio.run(under_load(place, here.path, body, changes, each, here.progress(NAME)))
    asked = [answer for phase in phases for answer in phase.asked]
    failed = [answer for answer in asked if not answer.ok]
    told = f"{len(failed)} of {len(asked)} requests failed while routes changed {len(changes)} times"
    if failed:
        heard = said(here.path, failed[0])
        told += f", such as {failed[0].failure or f'{failed[0].status} {heard.error_code}'}"
    evidence.append(Evidence("no request fails while routes change", len(failed) <= plan.tolerate, told))
    evidence += _went(plan.to, was, {phase.name: phase for phase in phases})
    evidence.append(Evidence("to begin the real one", None, _command(here.alias, plan)))
    return Step.of(NAME, f"to {plan.to} and back: {told}", evidence)


def foreseen(here: Standing, plan: Rollout) -> tuple[str, int | None]:
    """What would be done, and what the guards of the real rollout would find."""
    one = about_one(here)
    found = "; ".join(f"{each.what} {each.found}" for each in _foreseen(rehearsed(here, plan)))
    what = f"{plan.requests} requests or more to an alias made for it, to {plan.to} and back"
    return f"{what}; {found}", one and one * plan.requests


def _command(alias: str, plan: Rollout) -> str:
    guards = [word for guard in plan.guards for word in ("--guard", guard.text)]
    percent = f"{plan.percent_ppm / 10_000:g}"
    return shlex.join(["gwctl", "rollouts", "start", alias, "--to", str(plan.to), "--percent", percent, *guards])


def rehearsed(here: Standing, plan: Rollout) -> Started:
    """The rollout that the alias itself would have; nothing of it stays. Raises what beginning it would raise."""
    with here.home.database.rehearsing():
        return here.home.rollouts.start(here.alias, plan.to, _rollout((plan.percent_ppm,), plan))


def _foreseen(started: Started) -> Iterator[Evidence]:
    """What its guards could find with the traffic of the last day."""
    if not started.recent.requests:
        yield Evidence("what guards would find", None, "not known: nothing asked for the alias in the last day")
        return
    asked = f"{started.recent.requests:,} requests in the last day"
    for step in started.foreseen:
        for each in step.detectable:
            least = f"nothing: {asked} are too few"
            if each.least is not None:
                least = f"{amount(each.guard, each.least)} and more, now {amount(each.guard, each.now)}; {asked}"
            yield Evidence(f"{each.guard} at {step.share_ppm / 10_000:g} % finds", None, least)


@contextlib.contextmanager
def _alias(here: Standing) -> Iterator[Route]:
    """An alias that is served as the real one is, known to every worker; gone afterwards."""
    assert here.kept is not None
    home, name = here.home, f"{PURPOSE}-{here.kept.id}"
    _sweep(here, name)
    served = next((route for route in home.routes.current().routes if route.alias == here.alias), None)
    route = Route.of(name, here.targets()) if served is None else replace(served, alias=name)
    home.routes.put(route)
    try:
        _applied(here)
        yield route
    finally:
        home.routes.delete(name)


def _sweep(here: Standing, own: str) -> None:
    """Remove the aliases that were left behind by readinesses that were killed, this one before it went on too."""
    home = here.home
    before = f"{PURPOSE}-{ulid_at(to_ms(home.clock.now() - LEFT_OVER)).lower()}"
    for route in home.routes.current().routes:
        ours = route.alias.startswith(f"{PURPOSE}-") and len(route.alias) == len(before)
        if ours and (route.alias < before or route.alias == own):
            home.routes.delete(route.alias)


def _applied(here: Standing) -> float:
    """Seconds until every worker acts by the last change of routes. Raises `Conflict`."""
    applied = here.home.workers.wait("routes", APPLIED_WITHIN)
    if applied.missing:
        raise Conflict("a worker does not follow", hint="gwctl workers list")
    return applied.seconds


class _Journey:
    """What is done to an alias of ours, each until every worker acts by it."""

    def __init__(self, here: Standing, plan: Rollout, route: Route) -> None:
        self._here = here
        self._plan = plan
        self._route = route
        self._made = 0

    def changes(self) -> list[Change]:
        return [
            Change(STARTED, self._start),
            Change(ROLLED_BACK, self._roll_back),
            Change(CHANGED, self._change),
            Change(REVERTED, self._revert),
        ]

    def _start(self) -> float:
        self._here.home.rollouts.start(self._route.alias, self._plan.to, _rollout(HALF, self._plan))
        return _applied(self._here)

    def _roll_back(self) -> float:
        with contextlib.suppress(NotFound):  # its own guards have taken the target out already
            self._here.home.rollouts.rollback(self._route.alias, "a readiness")
        return _applied(self._here)

    def _change(self) -> float:
        other = replace(self._route, primary=(Choice(self._plan.to),), fallbacks=())
        self._made = self._here.home.routes.put(other).number
        return _applied(self._here)

    def _revert(self) -> float:
        try:
            self._here.home.routes.rollback(self._made - 1, only_from=self._made)
        except Conflict:  # somebody else changed routes meanwhile: theirs stay
            self._here.home.routes.put(self._route)
        return _applied(self._here)


def _rollout(steps: tuple[int, ...], plan: Rollout) -> RolloutPlan:
    return RolloutPlan(steps=steps, guards=plan.guards)


def _went(to: Target, was: set[str], phases: dict[str, Phase]) -> Iterator[Evidence]:
    """Whether the target served when it was to, and not when it was not to: unless it serves the alias anyhow."""
    name = str(to)
    for phase, there in ((STARTED, True), (ROLLED_BACK, False), (CHANGED, True), (REVERTED, False)):
        found = phases[phase]
        served = found.served_by(name)
        told = f"{served} of {len(found.answers)} served by {name}; in force after {found.seconds * 1000:,.0f} ms"
        held = None if name in was and not there else served > 0 if there else not served
        yield Evidence(phase, held, told)
