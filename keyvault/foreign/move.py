"""Carries a draft over: upstreams, routes, then keys. What exists already as drafted is left alone.

Everything that can be refused is refused while planning. Should a step fail all the same, running the move again goes
on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from keyvault.domain.addresses import check_base_url
from keyvault.domain.differences import Difference
from keyvault.domain.names import fold
from keyvault.domain.providers import preset
from keyvault.domain.routes import Target
from keyvault.domain.vault import Upstream
from keyvault.errors import UsageError
from keyvault.foreign.draft import Draft, DraftUpstream, LeftOut
from keyvault.routing.routes import Routes
from keyvault.tenants.changes import Deliver
from keyvault.tenants.steps import Plan, Step
from keyvault.tenants.tenants import Tenants
from keyvault.vault.upstream_rules import check_secret
from keyvault.vault.upstreams import Upstreams

_EXISTS: Final = "an upstream of that name exists, for something else; rename one of the two"


@dataclass(frozen=True, slots=True)
class Agreed:
    """What is going to be done, and what is not."""

    upstreams: tuple[tuple[DraftUpstream, bool], ...]
    """Each with whether it may be on a private network."""
    routes: Mapping[str, tuple[Target, ...]]
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
        routes = self._plan_routes(draft, usable, left)
        tenants = self._tenants.plan(draft.wanted, adopted=draft.tokens)
        steps = (*map(_upstream_step, new), *self._route_steps(routes), *tenants.steps)
        return Agreed(tuple(new), routes, tenants, tuple(left), Plan(steps))

    def carry_out(self, draft: Draft, agreed: Agreed, deliver: Deliver | None) -> None:
        for one, private in agreed.upstreams:
            self._upstreams.create(
                one.name, one.provider, base_url=one.base_url, secret=one.secret, allow_private=private
            )
        for alias, targets in agreed.routes.items():
            self._routes.set(alias, targets)
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
    ) -> Mapping[str, tuple[Target, ...]]:
        """The routes whose targets there will be; a target whose upstream is left out is left out too."""
        planned: dict[str, tuple[Target, ...]] = {}
        for alias, targets in draft.routes.items():
            kept = [Target(usable[t.upstream], t.model) for t in targets if t.upstream in usable]
            gone = [target for target in targets if target.upstream not in usable]
            left += [LeftOut(f"target {target} of route {alias}", "its upstream is left out") for target in gone]
            if kept:
                planned[alias] = tuple(kept)
        current = {route.alias: route.targets for route in self._routes.current().routes}
        return {alias: targets for alias, targets in planned.items() if current.get(alias) != targets}

    def _route_steps(self, routes: Mapping[str, tuple[Target, ...]]) -> Sequence[Step]:
        current = {route.alias: route.targets for route in self._routes.current().routes}
        return [
            Step(
                "~" if alias in current else "+",
                f"route:{alias}",
                (Difference("targets", [str(t) for t in current.get(alias, ())], [str(t) for t in targets]),),
            )
            for alias, targets in routes.items()
        ]


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
