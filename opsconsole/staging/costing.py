"""What requests cost: before they are sent, at most and about; and afterwards, by the ledger or by the price book.

Prices and routes are those of this home, also where another place is asked: nobody else's are known. Unknown is None.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Final

from keyvault.domain.endpoints import ENDPOINTS
from keyvault.domain.ledger import Usage
from keyvault.domain.prices import Price, cost
from keyvault.domain.routes import Target, parse_target
from keyvault.errors import GatewayError, Refusal, UsageError
from keyvault.metering.bounds import worst_case
from keyvault.metering.usage import estimate_input
from keyvault.proxy.dialects.body import read_body
from keyvault.routing.planner import Planner
from opsconsole.staging.asking import Answer

if TYPE_CHECKING:
    from keyvault.home import Home

MOST_GUESSED: Final = 1_000
"""Tokens of output that a request without a cap is taken to bring, where nothing is recorded of it."""


class Costing:
    """Prices of one home, as of now."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._planner = Planner(
            home.routes.current().routes, home.upstreams.list(), home.settings.default_upstream, draw=lambda: 0.5
        )
        self._price = cache(self._find)

    def target(self, text: str) -> Target | None:
        """The target that a text such as `openai/gpt-5` names, if there is such an upstream; else None: an alias."""
        try:
            target = parse_target(text)
        except UsageError:
            return None
        known = {upstream.name.casefold(): upstream.name for upstream in self._home.upstreams.list()}
        name = known.get(target.upstream.casefold())
        return None if name is None else Target(name, target.model)

    def targets(self, path: str, model: str | None, pin: Target | None = None) -> tuple[Target, ...]:
        """Who may serve a request, the first first; empty where nobody does."""
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            return ()
        try:
            return tuple(planned.target for planned in self._planner.plan(model, endpoint.dialect, pin))
        except Refusal:
            return ()

    def waits(self, path: str, model: str | None) -> float | None:
        """Seconds for which the gateway waits for a target's first content; None where nobody serves."""
        endpoint = ENDPOINTS.get(path)
        try:
            found = [] if endpoint is None else self._planner.plan(model, endpoint.dialect, None)
        except Refusal:
            return None
        default = self._home.settings.first_content_timeout
        return found[0].route.timeouts.first_content or default if found else None

    def at_most(self, path: str, body: bytes, targets: Iterable[Target]) -> int | None:
        """The most that one of some targets can take for a request, in pico-dollars; None where there is no bound, or a
        price is missing."""
        try:
            read = read_body(ENDPOINTS.get(path), b"application/json", body)
        except Refusal:
            return None
        found = [
            None if price is None else worst_case(price.rates, len(body), read.output_cap, read.choices)
            for price in map(self._price, targets)
        ]
        return None if not found or None in found else max(each for each in found if each is not None)

    def about(self, path: str, body: bytes, target: Target, output: int | None = None) -> int | None:
        """About what a target takes for a request, in pico-dollars. `output`: how many tokens it brought before."""
        price = self._price(target)
        if price is None:
            return None
        try:
            read = read_body(ENDPOINTS.get(path), b"application/json", body)
        except Refusal:
            return None
        if output is None:
            output = 0 if path == "/embeddings" else min(read.output_cap or MOST_GUESSED, MOST_GUESSED)
        return cost(price.rates, Usage(input=estimate_input(body), output=output * read.choices))

    def of_usage(self, target: Target, usage: Usage | None) -> int | None:
        """What a target takes for a usage."""
        price = None if usage is None else self._price(target)
        return None if price is None or usage is None else cost(price.rates, usage)

    def of_answer(self, answer: Answer) -> int | None:
        """What an answer of this gateway cost by its ledger, all attempts together."""
        request_id = answer.header("x-request-id")
        return None if request_id is None else self._home.reports.cost(request_id)

    def _find(self, target: Target) -> Price | None:
        try:
            return self._home.prices.show(target.upstream, target.model)
        except GatewayError:
            return None
