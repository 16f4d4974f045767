"""A rate limit, a budget and a balance run out for one key: is it refused, in words an SDK understands, and in time?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from keyvault.domain.budgets import Period
from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import DEFAULT_PROJECT
from keyvault.domain.limits import LimitChange
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.errors import NotFound, UsageError
from keyvault.keys.temporary import temporary_name
from keyvault.money import format_usd
from opsconsole.staging.asking import Asker, Place
from opsconsole.staging.costing import Costing
from opsconsole.staging.drilling.failing import PATHS, question
from opsconsole.staging.drilling.outcome import Check, Drilled, Tried, charged_once, tried, well_formed
from opsconsole.staging.places import ANYTHING, own_gateway, temporary_key

if TYPE_CHECKING:
    from keyvault.home import Home
    from keyvault.keys.lifecycle import KeyRule

A_MINUTE: Final = 2
"""Requests that the limit lets through."""
MOST: Final = 30
"""Requests after which money that does not run out is given up on."""
ENV: Final = "test"


@dataclass(frozen=True, slots=True)
class QuotaPlan:
    """What is asked until it is refused."""

    alias: str
    dialect: Dialect = Dialect.CHAT


def exhaust(home: Home, plan: QuotaPlan, progress: Callable[[int, int], None] = lambda *_: None) -> Drilled:
    """Let each quota run out with a key of its own. Raises `GatewayError` where it cannot be tried."""
    path = PATHS[plan.dialect]
    body = question(plan.dialect, plan.alias, stream=False)
    costing = Costing(home)
    targets = costing.targets(path, plan.alias)
    if not targets:
        raise NotFound(f"nothing serves {plan.alias[:70]!a} at {path}", hint="gwctl routes test " + plan.alias[:70])
    most_pico = costing.at_most(path, _encoded(body), targets)
    if not most_pico:
        raise UsageError(
            f"no quota of money can run out: no price bounds a request of {plan.alias}",
            hint=f"gwctl prices set {targets[0]} --input USD --output USD",
        )
    trial = _Trial(home, path, body)
    money_pico = most_pico * 5 // 4
    each: list[Tried] = []
    checks: list[Check] = []
    for done, (name, scene) in enumerate(_SCENES.items()):
        progress(done, len(_SCENES))
        found = [replace(one, number=len(each) + one.number) for one in scene(trial, money_pico)]
        each += found
        checks += [replace(check, name=f"{name}: {check.name}") for check in _checks(name, found, money_pico)]
    progress(len(_SCENES), len(_SCENES))
    checks += [well_formed(each), charged_once(each)]
    return Drilled(f"quotas run out, for {plan.alias}", tuple(each), tuple(checks))


class _Trial:
    """Asks the same question again and again."""

    def __init__(self, home: Home, path: str, body: dict[str, Any]) -> None:
        self.home = home
        self._path = path
        self._body = body
        self._place = Place.at(own_gateway(home))

    def ask(self, most: int, rules: Iterable[KeyRule] = (), project: str = DEFAULT_PROJECT) -> list[Tried]:
        """Until it is refused, at most so many times, with a key of these rules."""
        with temporary_key(self.home, "drill", policy=ANYTHING, project=project, env=ENV, rules=rules) as (_, secret):
            there = Place(self._place.base_url, secret, ca_file=self.home.settings.tls_cert)
            return asyncio.run(self._ask(there, most))

    async def _ask(self, place: Place, most: int) -> list[Tried]:
        found: list[Tried] = []
        async with Asker(place) as asker:
            while len(found) < most and not (found and found[-1].status != 200):
                answer = await asker.ask(self._path, self._body)
                found.append(tried(self.home, len(found) + 1, self._path, stream=False, answer=answer))
        return found


def _limit(trial: _Trial, _money_pico: int) -> list[Tried]:
    return trial.ask(A_MINUTE + 1, [trial.home.limits.of_key(LimitChange(rpm=A_MINUTE))])


def _budget(trial: _Trial, money_pico: int) -> list[Tried]:
    from keyvault.metering.budgets import Terms

    return trial.ask(MOST, [trial.home.budgets.of_new_key(Terms(money_pico, Period.DAY, env=ENV, hard=True))])


def _balance(trial: _Trial, money_pico: int) -> list[Tried]:
    with _project(trial.home, money_pico) as path:
        return trial.ask(MOST, project=path)


@contextmanager
def _project(home: Home, money_pico: int) -> Iterator[str]:
    """A project with a balance for test keys, gone at the end."""
    path = home.customers.create_project(f"default/{temporary_name('drill', home.clock)}").path
    try:
        home.balances.top_up(Scope(ScopeKind.PROJECT, path), money_pico, "a drill", env=ENV)
        yield path
    finally:
        home.temporary.remove_project(path)


_SCENES: Final[dict[str, Callable[[_Trial, int], list[Tried]]]] = {
    "limit": _limit,
    "budget": _budget,
    "balance": _balance,
}
_EXPECTED: Final = {"limit": 429, "budget": 402, "balance": 402}


def _checks(name: str, each: list[Tried], money_pico: int) -> Iterator[Check]:
    last, status = each[-1], _EXPECTED[name]
    served = [one for one in each if one.status == 200]
    told = f"{len(served)} served, then {last.status}: {last.saw}"
    yield Check("refused when it is used up", bool(served) and last.status == status, told)
    yield Check("nothing leaves once refused", not last.attempts, f"{len(last.attempts)} attempts of what was refused")
    if name == "limit":
        yield Check("says when to try again", last.retry_after is not None, f"retry-after: {last.retry_after}")
        return
    charged = sum(made.charge_pico or 0 for one in each for made in one.attempts)
    evidence = f"{format_usd(charged)} of {format_usd(money_pico)} USD was charged"
    yield Check("never overspent", charged <= money_pico, evidence)


def _encoded(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body)
