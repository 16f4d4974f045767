"""Which targets may serve a request, in which order: a pure decision over routes and upstreams.

With routes, clients ask for aliases and nothing else. Without, one upstream serves every model name as it is: the
default upstream, or the only one there is; with several and no default the planner refuses to guess who gets the
prompt. A planner never changes; a change of routes or upstreams makes a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import Policy
from keyvault.domain.names import fold
from keyvault.domain.routes import Choice, Route, Target
from keyvault.domain.vault import Upstream
from keyvault.errors import Refusal


@dataclass(frozen=True, slots=True)
class Planned:
    """A target that may serve, with its upstream. The target's model is empty where the request names none."""

    target: Target
    upstream: Upstream
    choice: Choice | None = None
    """What the route says of the target; None where no route led to it."""


class Planner:
    """Plans for one state of routes and upstreams."""

    def __init__(self, routes: Sequence[Route], upstreams: Sequence[Upstream], default_upstream: str = "") -> None:
        """`default_upstream`: a name, or empty. Targets whose upstream is gone are left out."""
        self._upstreams = {fold(upstream.name): upstream for upstream in upstreams}
        self._default_name = default_upstream
        self._default = self._choose_default(upstreams)
        self._routes = {route.alias: self._existing(route.choices) for route in routes}
        self._serving = {
            planned.target.model: planned.upstream
            for chain in reversed(self._routes.values())
            for planned in reversed(chain)
        }

    def aliases(self, policy: Policy) -> list[str] | None:
        """The aliases a key of this policy may use, sorted; None where no routes are set, so that there are none."""
        if not self._routes:
            return None
        return sorted(alias for alias in self._routes if policy.allows_model(alias))

    def plan(self, model: str | None, dialect: Dialect, pin: Target | None = None) -> tuple[Planned, ...]:
        """The targets to try, in order, at least one. Raises `Refusal` where there is none.

        404: unknown alias, or no target speaks the dialect; 400: unknown pin; 503: what could serve is switched off.
        """
        if pin is not None:
            chain = self._pinned(pin)
        elif model is None:
            chain = (self._as_is(""),)
        elif model in self._routes:
            chain = self._routes[model]
        elif dialect is Dialect.OTHER and model in self._serving:
            chain = (Planned(Target(self._serving[model].name, model), self._serving[model]),)
        elif self._routes and dialect is not Dialect.OTHER:
            raise Refusal(404, "model_not_found", f"the model {model[:100]!a} does not exist or you may not use it")
        else:
            chain = (self._as_is(model),)
        return _eligible(chain, model, dialect)

    def _choose_default(self, upstreams: Sequence[Upstream]) -> Upstream | None:
        if self._default_name:
            return self._upstreams.get(fold(self._default_name))
        return upstreams[0] if len(upstreams) == 1 else None

    def _existing(self, choices: Sequence[Choice]) -> tuple[Planned, ...]:
        found = ((choice, self._upstreams.get(fold(choice.target.upstream))) for choice in choices)
        return tuple(Planned(choice.target, upstream, choice) for choice, upstream in found if upstream is not None)

    def _pinned(self, pin: Target) -> tuple[Planned, ...]:
        upstream = self._upstreams.get(fold(pin.upstream))
        if upstream is None:
            raise Refusal(400, "unknown_target", f"no such target: {str(pin)[:100]!a}")
        return (Planned(Target(upstream.name, pin.model), upstream),)

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
    speaking = [p for p in chain if dialect is Dialect.OTHER or dialect in p.upstream.dialects]
    enabled = tuple([p for p in speaking if not p.upstream.disabled])
    if enabled:
        return enabled
    name = ascii((model or "")[:100])
    if not chain:
        raise _unavailable("no_target", f"the upstreams that served the model {name} are gone")
    if not speaking:
        raise Refusal(404, "unsupported_endpoint", f"the model {name} is not served at this endpoint")
    raise _unavailable("upstream_disabled", f"every upstream that serves the model {name} is switched off")


def _unavailable(code: str, message: str) -> Refusal:
    return Refusal(503, code, message, type="server_error")
