"""Carries a draft over: upstreams, routes, then keys. What exists already as drafted is left alone.

Everything that can be refused is refused while planning. Should a step fail all the same, running the move again goes
on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from keyvault.domain.addresses import check_base_url
from keyvault.domain.differences import Difference
from keyvault.domain.names import fold
from keyvault.domain.providers import preset
from keyvault.domain.routes import Choice, Route, Target
from keyvault.domain.vault import Upstream
from keyvault.errors import UsageError
from keyvault.foreign.draft import Draft, DraftTarget, DraftUpstream, LeftOut
from keyvault.routing import described
from keyvault.routing.routes import Routes
from keyvault.tenants.changes import Deliver
from keyvault.tenants.steps import Plan, Step
from keyvault.tenants.tenants import Tenants
from keyvault.vault.upstream_rules import check_secret
from keyvault.vault.upstreams import Upstreams

_EXISTS: Final = "an upstream of that name exists, for something else; rename one of the two"
_PARTS: Final = 100
"""What a weight of 1 becomes where others are fractions."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is going to be done, and what is not."""

    upstreams: tuple[tuple[DraftUpstream, bool], ...]
    """Each with whether it may be on a private network."""
    routes: tuple[Route, ...]
    tenants: Plan
    left_out: tuple[LeftOut, ...]
    plan: Plan
    """All steps, as they read."""


class Move:
    """One draft on its way into a gateway."""

    def __init__(self, upstreams: Upstreams, routes: Routes, tenants: Tenants, *, allow_private: bool) -> None:
        self._upstreams = upstreams
        self._routes = routes
        self._tenants = tenants
        self._allow_private = allow_private

    def plan(self, draft: Draft) -> Agreed:
        left = list(draft.left_out)
        existing = {fold(upstream.name): upstream for upstream in self._upstreams.list()}
        new: list[tuple[DraftUpstream, bool]] = []
        usable: dict[str, str] = {}
        for one in draft.upstreams:
            found = existing.get(fold(one.name))
            if found is not None and _is_same(found, one):
                usable[one.name] = found.name
                continue
            try:
                private = self._check(one, found)
            except UsageError as error:
                left.append(LeftOut(f"upstream {one.name}", error.message))
                continue
            new.append((one, private))
            usable[one.name] = one.name
        routes, route_steps = self._plan_routes(draft, usable, left)
        tenants = self._tenants.plan(draft.wanted, adopted=draft.tokens)
        steps = (*map(_upstream_step, new), *route_steps, *tenants.steps)
        return Agreed(tuple(new), routes, tenants, tuple(left), Plan(steps))

    def carry_out(self, draft: Draft, agreed: Agreed, deliver: Deliver | None) -> None:
        for one, private in agreed.upstreams:
            self._upstreams.create(
                one.name, one.provider, base_url=one.base_url, secret=one.secret, allow_private=private
            )
        for route in agreed.routes:
            self._routes.put(route)
        self._tenants.apply(draft.wanted, deliver=deliver, adopted=draft.tokens, agreed=agreed.tenants)

    def _check(self, one: DraftUpstream, found: Upstream | None) -> bool:
        """Whether it needs leave for a private network. Raises `UsageError` for what could not be made."""
        if found is not None:
            raise UsageError(_EXISTS)
        chosen = preset(one.provider)
        if one.secret is None and chosen.needs_secret:
            again = f"gwctl upstreams create {one.name} --provider {one.provider}"
            url = f" --base-url {one.base_url}" if one.base_url else ""
            raise UsageError(f"{one.no_secret_because}; make it, then import again: {again}{url}")
        check_secret(chosen, one.secret)
        try:
            check_base_url(one.base_url or chosen.base_url or "", allow_private=False)
        except UsageError:
            check_base_url(one.base_url or chosen.base_url or "", allow_private=True)
            if not self._allow_private:
                raise UsageError("is on a private network or plain http; --allow-private if that is meant") from None
            return True
        return False

    def _plan_routes(
        self, draft: Draft, usable: Mapping[str, str], left: list[LeftOut]
    ) -> tuple[tuple[Route, ...], Sequence[Step]]:
        """The routes that there will be, and how that reads; a target whose upstream is left out is left out too."""
        current = {route.alias: route for route in self._routes.current().routes}
        planned: list[Route] = []
        steps: list[Step] = []
        for alias, targets in draft.routes.items():
            gone = [each.target for each in targets if each.target.upstream not in usable]
            left += [LeftOut(f"target {target} of route {alias}", "its upstream is left out") for target in gone]
            kept = [_renamed(each, usable) for each in targets if each.target.upstream in usable]
            route = _route(current.get(alias, Route(alias, ())), kept) if kept else None
            if route is not None and route != current.get(alias):
                planned.append(route)
                was = [current[alias]] if alias in current else []
                steps += [Step(c.sign, c.scope, c.differences) for c in described.changes(was, [route])]
        return tuple(planned), steps


def _renamed(drafted: DraftTarget, usable: Mapping[str, str]) -> DraftTarget:
    """The target with its upstream spelled as it is here."""
    return replace(drafted, target=Target(usable[drafted.target.upstream], drafted.target.model))


def _route(was: Route, drafted: Sequence[DraftTarget]) -> Route:
    """The route with these targets; what else it says stays. Weights become whole, and equal where all are 0."""
    ordered = sorted(drafted, key=lambda each: each.rank)
    first = [each for each in ordered if each.rank == ordered[0].rank]
    scale = 1 if all(each.weight == int(each.weight) for each in first) else _PARTS
    weights = [round(each.weight * scale) for each in first]
    weights = weights if any(weights) else [1] * len(first)
    primary = tuple(Choice(each.target, weight) for each, weight in zip(first, weights, strict=True))
    return replace(was, primary=primary, fallbacks=tuple(Choice(each.target) for each in ordered[len(first) :]))


def _is_same(found: Upstream, one: DraftUpstream) -> bool:
    base = one.base_url or preset(one.provider).base_url
    return (found.provider, found.base_url) == (one.provider, base)


def _upstream_step(new: tuple[DraftUpstream, bool]) -> Step:
    one, private = new
    told = {
        "provider": one.provider,
        "base_url": one.base_url or preset(one.provider).base_url,
        "credential": "sealed" if one.secret else "none",
        "allow_private": private,
    }
    return Step("+", f"upstream:{one.name}", tuple(Difference(name, None, value) for name, value in told.items()))
