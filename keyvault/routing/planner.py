"""Which targets may serve a request, in which order: a decision over routes, upstreams, weights and health.

With routes, clients ask for aliases and nothing else: the exact alias, else the most specific pattern (the one with the
most letters that are no wildcard), else `*`. Without routes, one upstream serves every model name as it is: the default
upstream, or the only one there is; with several and no default the planner refuses to guess who gets the prompt.

The primary targets of a route are drawn by weight, each of them once; the fallbacks follow in their order. A target
that is not well stands behind all that are, but is not dropped: where nothing else is left, it is tried. What can never
serve is left out: a weight of 0 but for what is bound or pinned to it, another dialect, an upstream that is gone or
switched off.

The target of a rollout is no part of its route: it stands first in the plans of the requests that are drawn for it,
with the route's own targets behind it, and serves what is bound to it.

A planner never changes; a change of routes or upstreams makes a new one. Health is the worker's, and outlives it.
"""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import Policy
from keyvault.domain.names import fold
from keyvault.domain.rollouts import Rollout
from keyvault.domain.routes import AS_NAMED, Choice, Route, Target, is_pattern, precision
from keyvault.domain.vault import Upstream
from keyvault.errors import Refusal

UNROUTED: Final = Route("", ())
"""The route of a request that no route is about: everything is as usual."""


class Knows(Protocol):
    """Knows how targets are."""

    def __bool__(self) -> bool:
        """Whether anything is known against any."""
        ...

    def available(self, target: Target) -> bool:
        """Whether a request should go there rather than elsewhere."""
        ...


@dataclass(frozen=True, slots=True)
class Planned:
    """A target that may serve, with its upstream. The target's model is empty where the request names none."""

    target: Target
    upstream: Upstream
    choice: Choice | None = None
    """What the route says of this target; None where no route names it."""
    route: Route = UNROUTED
    trial: bool = False
    """It is the target of a rollout: whatever it refuses, the others are asked."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A target of a route that cannot serve a request, and why."""

    choice: Choice
    reason: str


@dataclass(frozen=True, slots=True)
class _Way:
    """A route for one dialect: what may serve."""

    primary: tuple[Planned, ...]
    fallbacks: tuple[Planned, ...]
    as_named: bool
    """Some target takes the client's own name of the model."""
    sole: bool
    """Just one target may serve, under its own name: there is nothing to order."""


class Planner:
    """Plans for one state of routes and upstreams."""

    def __init__(
        self,
        routes: Sequence[Route],
        upstreams: Sequence[Upstream],
        default_upstream: str = "",
        *,
        rollouts: Iterable[Rollout] = (),
        health: Knows | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`default_upstream`: a name, or empty. `rollouts`: those that live. `draw`: the next number from 0 to 1, for
        the weights."""
        self.rollouts = {rollout.alias: rollout for rollout in rollouts}
        """By the alias of the route, which may be a pattern."""
        self._upstreams = {fold(upstream.name): upstream for upstream in upstreams}
        self._default_name = default_upstream
        self._default = self._choose_default(upstreams)
        self._routes = {route.alias: route for route in routes}
        self._patterns = _by_precision(alias for alias in self._routes if is_pattern(alias))
        self._ways: dict[tuple[str, Dialect], _Way] = {}
        self._health = health
        self._draw = draw
        self._serving = {
            target.model: upstream
            for route in reversed(routes)
            for target in reversed(route.targets)
            if target.model != AS_NAMED and (upstream := self._upstreams.get(fold(target.upstream)))
        }

    def aliases(self, policy: Policy) -> list[str] | None:
        """The aliases a key of this policy may use, sorted, without patterns; None where no routes are set."""
        if not self._routes:
            return None
        return sorted(alias for alias in self._routes if not is_pattern(alias) and policy.allows_model(alias))

    def route_of(self, model: str) -> Route | None:
        """The route for a model as a client names it."""
        route = self._routes.get(model)
        if route is None:
            for matches, alias in self._patterns:
                if matches(model):
                    return self._routes[alias]
        return route

    def plan(self, model: str | None, dialect: Dialect, pin: Target | None = None) -> tuple[Planned, ...]:
        """The targets to try, in order, at least one. Raises `Refusal` where there is none.

        404: unknown alias, or no target speaks the dialect; 400: unknown pin; 503: what could serve is switched off.
        """
        if pin is not None:
            return _eligible((self._pinned(pin, model),), model, dialect)
        way = None if model is None else self._ways.get((model, dialect))  # a name that is an alias, asked for before
        if way is not None and way.sole:
            return way.primary
        if model is None:
            return _eligible((self._as_is(""),), model, dialect)
        if dialect is Dialect.OTHER and model not in self._routes and model in self._serving:
            upstream = self._serving[model]
            return _eligible((Planned(Target(upstream.name, model), upstream),), model, dialect)
        route = self.route_of(model)
        if route is not None:
            return self._ordered(self._way(route, model, dialect), model)
        if self._routes and dialect is not Dialect.OTHER:
            raise Refusal(404, "model_not_found", f"the model {model[:100]!a} does not exist or you may not use it")
        return _eligible((self._as_is(model),), model, dialect)

    def bound(self, model: str, dialect: Dialect, target: Target) -> Planned | None:
        """The target of a model's route that a conversation is bound to, whatever its weight; None where it cannot
        serve any more."""
        route = self.route_of(model)
        if route is None:
            return None
        of_name = Target(target.upstream, AS_NAMED) if target.model == model else target
        for choice in (*route.choices, *self._new_choices(route)):
            planned = self._planned(route, choice) if choice.target in (target, of_name) else None
            if planned is not None and _reason(planned, dialect) is None:
                return replace(planned, target=target)
        return None

    def with_new(
        self, rollout: Rollout, plan: tuple[Planned, ...], model: str, dialect: Dialect
    ) -> tuple[Planned, ...] | None:
        """A plan with a rollout's target in front, behind the others while it is not well; None where it cannot serve
        the request."""
        route = plan[0].route
        new = next((self._planned(route, choice) for choice in self._new_choices(route)), None)
        if new is None or _reason(new, dialect) is not None or rollout.alias != route.alias:
            return None
        new = replace(_named(new, model), trial=True)
        chain = (new, *(planned for planned in plan if planned.target != new.target))
        return _well_first(chain, self._health) if self._health else chain

    def new_at(self, model: str, dialect: Dialect, upstream: str) -> tuple[Planned, ...]:
        """The target of a rollout of the model's route, if it is of this upstream: it may keep what is referred to."""
        route = self.route_of(model)
        chosen = [] if route is None else [c for c in self._new_choices(route) if c.target.upstream == upstream]
        found = [] if route is None else self._existing(route, chosen)
        return tuple(_named(planned, model) for planned in found if _reason(planned, dialect) is None)

    def left_out(self, model: str, dialect: Dialect) -> list[LeftOut]:
        """The targets of a model's route that a plan does not have, and why: for people."""
        route = self.route_of(model)
        found: list[LeftOut] = []
        for choice in () if route is None else (*route.primary, *route.fallbacks):
            planned = self._planned(route or UNROUTED, choice)
            reason = "the upstream does not exist" if planned is None else _reason(planned, dialect)
            if reason is None and not choice.weight:
                reason = "its weight is 0: it serves only what is bound or pinned to it"
            if reason is not None:
                found.append(LeftOut(choice, reason))
        return found

    def _way(self, route: Route, model: str, dialect: Dialect) -> _Way:
        """What of a route may serve in a dialect: worked out once. Raises `Refusal` where nothing may."""
        way = self._ways.get((route.alias, dialect))
        if way is None:
            listed = tuple(self._existing(route, (*route.primary, *route.fallbacks)))
            eligible = _eligible(tuple(p for p in listed if p.choice and p.choice.weight), model, dialect)
            primary = tuple(p for p in eligible if p.choice in route.primary)
            as_named = any(p.target.model == AS_NAMED for p in eligible)
            way = _Way(
                primary,
                tuple(p for p in eligible if p.choice not in route.primary),
                as_named,
                sole=len(eligible) == len(primary) == 1 and not as_named,
            )
            self._ways[route.alias, dialect] = way
        return way

    def _ordered(self, way: _Way, model: str) -> tuple[Planned, ...]:
        chain = way.fallbacks
        if way.primary:
            chain = (way.primary if len(way.primary) == 1 else self._drawn(way.primary)) + chain
        if way.as_named:
            chain = tuple([_named(planned, model) for planned in chain])
        if len(chain) > 1 and self._health:
            chain = _well_first(chain, self._health)
        return chain

    def _drawn(self, primary: Sequence[Planned]) -> tuple[Planned, ...]:
        """All of them, in an order in which each comes first as often as its weight says (Efraimidis, Spirakis)."""
        keys = [self._draw() ** (1 / planned.choice.weight) for planned in primary if planned.choice]
        order = sorted(range(len(primary)), key=keys.__getitem__, reverse=True)
        return tuple([primary[at] for at in order])

    def _choose_default(self, upstreams: Sequence[Upstream]) -> Upstream | None:
        if self._default_name:
            return self._upstreams.get(fold(self._default_name))
        return upstreams[0] if len(upstreams) == 1 else None

    def _new_choices(self, route: Route) -> tuple[Choice, ...]:
        """The target of the route's rollout, if there is one, with what the route says of it, if it says anything."""
        rollout = self.rollouts.get(route.alias) if self.rollouts else None
        if rollout is None:
            return ()
        return (next((c for c in route.choices if c.target == rollout.target), Choice(rollout.target)),)

    def _planned(self, route: Route, choice: Choice) -> Planned | None:
        upstream = self._upstreams.get(fold(choice.target.upstream))
        return None if upstream is None else Planned(choice.target, upstream, choice, route)

    def _existing(self, route: Route, choices: Iterable[Choice]) -> list[Planned]:
        return [planned for choice in choices if (planned := self._planned(route, choice)) is not None]

    def _pinned(self, pin: Target, model: str | None) -> Planned:
        """A target that the caller names: what the model's route says of it holds, if it has it."""
        upstream = self._upstreams.get(fold(pin.upstream))
        if upstream is None:
            raise Refusal(400, "unknown_target", f"no such target: {str(pin)[:100]!a}")
        target = Target(upstream.name, pin.model)
        route = self.route_of(model) if model is not None else None
        for choice in (*route.primary, *route.fallbacks) if route is not None else ():
            if choice.target == target:
                return Planned(target, upstream, choice, route or UNROUTED)
        return Planned(target, upstream)

    def _as_is(self, model: str) -> Planned:
        """The default upstream, with the model's name as the client wrote it."""
        if self._default is not None:
            return Planned(Target(self._default.name, model), self._default)
        if not self._upstreams:
            raise _unavailable("no_upstream", "no provider is set up yet")
        if self._default_name:
            raise _unavailable("no_default_upstream", "the default upstream does not exist")
        if model and not self._routes:
            raise Refusal(404, "model_not_found", f"no route serves the model {model[:100]!a}")
        raise Refusal(
            404, "no_default_upstream", "no default upstream is set, and the request names no model that tells which"
        )


def _eligible(chain: tuple[Planned, ...], model: str | None, dialect: Dialect) -> tuple[Planned, ...]:
    """Of a chain, the targets that speak the dialect and are switched on. Any upstream may get an unknown path."""
    speaking = [p for p in chain if _speaks(p, dialect)]
    enabled = tuple([p for p in speaking if not p.upstream.disabled])
    if enabled:
        return enabled
    name = ascii((model or "")[:100])
    if not chain:
        raise _unavailable("no_target", f"the upstreams that served the model {name} are gone")
    if not speaking:
        raise Refusal(404, "unsupported_endpoint", f"the model {name} is not served at this endpoint")
    raise _unavailable("upstream_disabled", f"every upstream that serves the model {name} is switched off")


def _by_precision(patterns: Iterable[str]) -> list[tuple[Callable[[str], object], str]]:
    """Patterns to be asked in turn, the most specific first."""
    ordered = sorted(sorted(patterns), key=precision, reverse=True)
    return [(re.compile(fnmatch.translate(alias.replace("[", "[[]"))).match, alias) for alias in ordered]


def _named(planned: Planned, model: str) -> Planned:
    if planned.target.model != AS_NAMED:
        return planned
    return replace(planned, target=Target(planned.target.upstream, model))


def _well_first(chain: tuple[Planned, ...], health: Knows) -> tuple[Planned, ...]:
    well = [health.available(planned.target) for planned in chain]
    if all(well):
        return chain
    order = sorted(range(len(chain)), key=lambda at: not well[at])  # stable: the order among equals stays
    return tuple([chain[at] for at in order])


def _speaks(planned: Planned, dialect: Dialect) -> bool:
    return dialect is Dialect.OTHER or dialect in planned.upstream.dialects


def _reason(planned: Planned, dialect: Dialect) -> str | None:
    """Why a target cannot serve a dialect now."""
    if not _speaks(planned, dialect):
        return f"the upstream does not speak {dialect}"
    return "the upstream is switched off" if planned.upstream.disabled else None


def _unavailable(code: str, message: str) -> Refusal:
    return Refusal(503, code, message, type="server_error")
