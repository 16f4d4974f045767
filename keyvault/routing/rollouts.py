"""Rollouts: a new target takes a small, watched share of an alias's requests, and goes again if it is worse.

What gives the target more than was agreed on (to start, to resume, to finish) opens the vault; what takes it out works
while that is locked, and so does a step of the plan, which is vouched for as a whole. Each change has its audit entry
and its epoch in its transaction. The routes stay as they are until a rollout is finished: then the target is in the
place of the old ones, by a revision like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from keyvault import audit
from keyvault.clock import Clock, from_ms, to_ms
from keyvault.domain.arms import Arm
from keyvault.domain.guards import COST
from keyvault.domain.names import fold, not_found
from keyvault.domain.rollouts import Judgement, Look, Plan, Rollout, State, checked
from keyvault.domain.routes import AS_NAMED, Choice, Revision, Route, Target, is_pattern
from keyvault.domain.vault import Upstream
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.metering.prices import PriceBook
from keyvault.routing import looking, schedule
from keyvault.routing.ending import end, looked_into, scope
from keyvault.routing.foresight import Foreseen, Recent, foresee
from keyvault.routing.recent import recent_of
from keyvault.routing.routes import Routes
from keyvault.storage import epochs, upstreams
from keyvault.storage import rollouts as rows
from keyvault.storage import routes as route_rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.rollout_arms import arms

LOOKS_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Started:
    """A rollout that has begun, and what its guards could find."""

    rollout: Rollout
    recent: Recent
    foreseen: tuple[Foreseen, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """A rollout as it stands."""

    rollout: Rollout
    baseline: Arm
    arm: Arm
    """Of this step, or of the last one of a rollout that has ended."""
    now: tuple[Judgement, ...]
    """Each guard's figures as they are now. A verdict is only that of a look."""
    looks: Sequence[Look]
    """The newest first."""
    next_look_at: datetime | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a request was drawn for."""

    rollout: Rollout
    new: bool
    """For the target; else for the baseline."""


class Rollouts:
    """The service behind `gwctl rollouts`. A rollout is named by its number, or by its alias: the newest one then."""

    def __init__(self, database: Database, clock: Clock, routes: Routes) -> None:
        self._database = database
        self._clock = clock
        self._routes = routes

    def start(self, alias: str, target: Target, plan: Plan) -> Started:
        """Have a target take the first step's share of an alias. Raises `UsageError`, `NotFound` or `Conflict`."""
        checked(plan)
        with self._database.change() as tx:
            known = self._startable(tx, alias, target, plan)
            looked_into(tx, self._clock, alias)
            number = rows.insert(tx, alias, known, plan, self._clock.random_bytes(8).hex(), self._clock.now_ms())
            rollout = rows.numbered(tx, number)
            assert rollout is not None
            told = {"rollout": number, "target": str(known), "steps": [step / 10_000 for step in plan.steps]}
            told |= {"by": plan.unit, "guards": [guard.text for guard in plan.guards], "alpha": plan.alpha}
            audit.record(tx, self._clock, "rollouts.start", scope(rollout.alias), **told)
            epochs.bump(tx, "routes")
            recent = recent_of(tx, self._clock, alias)
        return Started(rollout, recent, foresee(plan, recent))

    def advance(self, named: str) -> Rollout:
        """Begin the next step now, whatever the guards have seen. Raises `NotFound` or `Conflict`."""
        with self._database.write() as tx:
            rollout = _live(tx, named)
            if rollout.state is State.PAUSED:
                raise Conflict(f"{_called(rollout)} is paused", hint=f"gwctl rollouts resume {rollout.alias}")
            if rollout.last_step:
                hint = f"gwctl rollouts finish {rollout.alias}"
                raise Conflict(f"{_called(rollout)} is at its last step", hint=hint)
            looking.advance(tx, self._clock, rollout)
            return _again(tx, rollout)

    def pause(self, named: str) -> Rollout:
        """Send no new request to the target; what a conversation has begun there goes on. Raises `NotFound`."""
        with self._database.write() as tx:
            rollout = _live(tx, named)
            if rollout.state is not State.PAUSED:
                self._set(tx, rollout, State.PAUSED, "rollouts.pause")
            return _again(tx, rollout)

    def resume(self, named: str) -> Rollout:
        """Go on at the step where it was paused, from its beginning. Raises `NotFound`."""
        with self._database.change() as tx:
            rollout = _live(tx, named)
            if rollout.state is not State.RUNNING:
                self._set(tx, rollout, State.RUNNING, "rollouts.resume")
                rows.set_step(tx, rollout, rollout.step, self._clock.now_ms())
            return _again(tx, rollout)

    def rollback(self, named: str, reason: str = "") -> Rollout:
        """Take the target out; nothing else of the routes changes. Raises `NotFound`."""
        with self._database.write() as tx:
            rollout = _live(tx, named)
            end(tx, self._clock, rollout, State.ROLLED_BACK, reason or "by hand", "rollouts.rollback")
            return _again(tx, rollout)

    def finish(self, named: str, *, now: bool = False, keep: bool = False) -> tuple[Rollout, Revision]:
        """Put the target in the place of the route's primary ones, by a new revision. `now`: before the last step;
        `keep`: what it replaces are its fallbacks. Raises `NotFound` or `Conflict`."""
        with self._database.change() as tx:
            rollout = _live(tx, named)
            if not rollout.last_step and not now:
                hint = f"gwctl rollouts advance {rollout.alias}, or gwctl rollouts finish {rollout.alias} --now"
                steps = len(rollout.plan.steps)
                raise Conflict(f"{_called(rollout)} is at step {rollout.step + 1} of {steps}", hint=hint)
            route = _route(tx, rollout.alias)
            end(tx, self._clock, rollout, State.FINISHED, "by hand", "rollouts.finish")
            revision = self._routes.put_in(tx, _with_target(route, rollout.target, keep=keep))
            return _again(tx, rollout), revision

    def list(self, limit: int = 50) -> Sequence[Rollout]:
        """The newest first."""
        with self._database.read() as tx:
            return rows.newest(tx, limit)

    def live(self) -> Sequence[Rollout]:
        """Those that run or are paused, by alias."""
        with self._database.read() as tx:
            return rows.live(tx)

    def status(self, named: str) -> Status:
        """Raises `NotFound`."""
        with self._database.read() as tx:
            rollout = _find(tx, named)
            now = to_ms(rollout.ended_at) if rollout.ended_at else self._clock.now_ms()
            began, made = to_ms(rollout.step_started_at), rows.looked(tx, rollout.id)
            baseline, arm = arms(tx, rollout, began, now)
            looks = rows.looks(tx, rollout.id, LOOKS_TOLD)
            before = rows.looked_before(tx, rollout)
        plan = rollout.plan
        level = schedule.level(plan, plan.looks - 1)
        judged = looking.judgements(plan, plan.steps[rollout.step], level, baseline, arm)
        next_ms = schedule.next_ms(rollout, made, now, before=before)
        return Status(rollout, baseline, arm, judged, looks, None if next_ms is None else from_ms(next_ms))

    def drawn(self, request_id: str) -> Drawn | None:
        """Which arm of which rollout a request belonged to; None where to none that is known."""
        with self._database.read() as tx:
            found = rows.arm_of(tx, request_id)
            rollout = None if found is None else rows.numbered(tx, found[0])
        return None if found is None or rollout is None else Drawn(rollout, bool(found[1]))

    def _set(self, tx: Transaction, rollout: Rollout, state: State, action: str) -> None:
        rows.set_state(tx, rollout, state, self._clock.now_ms())
        audit.record(tx, self._clock, action, scope(rollout.alias), rollout=rollout.id, target=str(rollout.target))
        epochs.bump(tx, "routes")

    def _startable(self, tx: Transaction, alias: str, target: Target, plan: Plan) -> Target:
        """The target, spelled as its upstream was created."""
        route = _route(tx, alias)
        there = {fold(upstream.name): upstream for upstream in upstreams.all_upstreams(tx)}
        upstream = there.get(fold(target.upstream))
        if upstream is None:
            names = [each.name for each in there.values()]
            raise not_found("upstream", target.upstream, names, otherwise="gwctl upstreams list")
        known = Target(upstream.name, target.model)
        serving = [choice.target for choice in route.primary if choice.weight]
        if serving == [known]:
            raise UsageError(f"{known} serves {alias} already", hint=f"gwctl routes show {alias}")
        if known.model == AS_NAMED and not is_pattern(alias):
            raise UsageError(f"{known} is a target for a pattern of names", hint="name the model: --to UPSTREAM/MODEL")
        for other in rows.live(tx):
            if other.alias == alias:
                hint = f"gwctl rollouts status {alias}, or gwctl rollouts rollback {alias}"
                raise Conflict(f"a rollout of {alias} to {other.target} is {other.state}", hint=hint)
        _check_priced(tx, upstream, known, plan, self._clock)
        return known


def _check_priced(tx: Transaction, upstream: Upstream, target: Target, plan: Plan, clock: Clock) -> None:
    """A guard on costs that nobody would know is none."""
    asks = any(guard.measure == COST for guard in plan.guards)
    if not asks or target.model == AS_NAMED:
        return
    if PriceBook.load(tx).find(upstream.name, upstream.catalogue, target.model, clock.now_ms()) is None:
        hint = f"gwctl prices set {target} --help, or start without a guard on {COST}"
        raise UsageError(f"{target} has no price, so nobody could tell its {COST}", hint=hint)


def _with_target(route: Route, target: Target, *, keep: bool) -> Route:
    """The route with a target in the place of its primary ones, with what it says of that target."""
    new = next((choice for choice in route.choices if choice.target == target), Choice(target))
    new = replace(new, weight=max(1, new.weight))
    behind = (*(route.primary if keep else ()), *route.fallbacks)
    return replace(route, primary=(new,), fallbacks=tuple(choice for choice in behind if choice.target != target))


def _route(tx: Transaction, alias: str) -> Route:
    routes = route_rows.current(tx).routes
    found = next((route for route in routes if route.alias == alias), None)
    if found is None:
        raise not_found("route", alias, [route.alias for route in routes], otherwise="gwctl routes list")
    return found


def _find(tx: Transaction, named: str) -> Rollout:
    newest = rows.newest(tx, 1, alias=named)
    found = newest[0] if newest else rows.numbered(tx, int(named)) if named.isascii() and named.isdigit() else None
    if found is None:
        raise not_found("rollout", named, rows.aliases_known(tx), otherwise="gwctl rollouts list")
    return found


def _live(tx: Transaction, named: str) -> Rollout:
    found = _find(tx, named)
    if not found.live:
        raise NotFound(f"{_called(found)} has ended: {found.state.replace('_', ' ')}", hint="gwctl rollouts list")
    return found


def _again(tx: Transaction, rollout: Rollout) -> Rollout:
    found = rows.numbered(tx, rollout.id)
    assert found is not None
    return found


def _called(rollout: Rollout) -> str:
    return f"the rollout of {rollout.alias} to {rollout.target}"
