"""A target fails for one key: does the next one serve, is it seen in the ledger, is nothing charged twice?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from keyvault.domain.drills import FAULTS, Fault
from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Target
from keyvault.errors import Conflict, NotFound, UsageError
from opsconsole.staging.asking import Asker, Place
from opsconsole.staging.asking.asker import TIMEOUT_SECONDS
from opsconsole.staging.costing import Costing
from opsconsole.staging.drilling.outcome import Check, Drilled, Tried, charged_once, tried, well_formed
from opsconsole.staging.places import APPLIED_WITHIN, own_gateway, temporary_key

if TYPE_CHECKING:
    from keyvault.home import Home

PATHS: Final = {Dialect.CHAT: "/chat/completions", Dialect.RESPONSES: "/responses", Dialect.MESSAGES: "/messages"}
WORDS: Final = "Answer with one short sentence: what is a gateway?"
MOST_TOKENS: Final = 32
LEFT_OVER: Final = timedelta(minutes=5)
"""How long the key of a drill outlives it at most, where nobody could delete it."""


@dataclass(frozen=True, slots=True)
class FailingPlan:
    """What is broken, and what is sent then."""

    alias: str
    fault: Fault
    target: Target | None = None
    """None: the one that serves first."""
    requests: int = 10
    """Every second one is a stream."""
    lasts: timedelta = timedelta(seconds=60)
    dialect: Dialect = Dialect.CHAT


def question(dialect: Dialect, model: str, *, stream: bool) -> dict[str, Any]:
    """A short request of a dialect that costs little. Raises `UsageError` for one that a drill cannot speak."""
    asked: dict[str, Any] = {"model": model, "stream": stream}
    match dialect:
        case Dialect.CHAT | Dialect.MESSAGES:
            return {**asked, "messages": [{"role": "user", "content": WORDS}], "max_tokens": MOST_TOKENS}
        case Dialect.RESPONSES:
            return {**asked, "input": WORDS, "max_output_tokens": MOST_TOKENS}
    raise UsageError(f"a drill cannot speak {dialect}", hint=f"one of {', '.join(PATHS)}")


def aimed(costing: Costing, plan: FailingPlan) -> tuple[Target, tuple[Target, ...]]:
    """The target that is broken, and those that may serve in its place. Raises `NotFound`, `UsageError`."""
    question(plan.dialect, plan.alias, stream=False)
    chain = costing.targets(PATHS[plan.dialect], plan.alias)
    if not chain:
        raise NotFound(
            f"nothing serves {plan.alias[:70]!a} at {PATHS[plan.dialect]}", hint="gwctl routes test " + plan.alias[:70]
        )
    target = plan.target or chain[0]
    if target not in chain:
        raise UsageError(f"{target} does not serve {plan.alias}", hint=f"one of {', '.join(map(str, chain))}")
    return target, tuple(each for each in chain if each != target)


def fail(home: Home, plan: FailingPlan, progress: Callable[[int, int], None] = lambda *_: None) -> Drilled:
    """Break the target, send the requests, mend it, and tell. Raises `GatewayError` where it cannot be tried."""
    costing = Costing(home)
    target, others = aimed(costing, plan)
    _check_patience(costing, plan)
    place = Place.at(own_gateway(home))
    with temporary_key(home, "drill", lives=plan.lasts + LEFT_OVER) as (key, secret):
        drill = home.drills.start(key.name, target, plan.fault, plan.lasts)
        try:
            if home.workers.wait("routes", APPLIED_WITHIN).missing:
                raise Conflict("a worker does not follow, so nothing was tried", hint="gwctl workers list")
            there = Place(place.base_url, secret, ca_file=home.settings.tls_cert)
            each = asyncio.run(_ask(home, there, plan, progress))
        finally:
            home.drills.end(drill.id)
    left = [running for running in home.drills.running() if running.id == drill.id]
    title = f"{target} {FAULTS[plan.fault]}, for {plan.alias}"
    checks = tuple(_checks(plan, target, others, each, left_behind=bool(left)))
    return Drilled(title, tuple(each), checks, drill.id)


def _check_patience(costing: Costing, plan: FailingPlan) -> None:
    """Raises `UsageError` where a target that hangs would be waited for until the drill is over."""
    waits = costing.waits(PATHS[plan.dialect], plan.alias) or 0.0
    if plan.fault is Fault.HANG and waits >= plan.lasts.total_seconds():
        raise UsageError(
            f"{plan.alias} waits {waits:g} s for a first content, so nothing would come of it within the drill",
            hint=f'timeouts = {{ first_content = "20s" }} for gwctl routes apply, or --for {waits + 30:.0f}s',
        )


async def _ask(home: Home, place: Place, plan: FailingPlan, progress: Callable[[int, int], None]) -> list[Tried]:
    path = PATHS[plan.dialect]
    found: list[Tried] = []

    async def one(asker: Asker, number: int) -> None:
        stream = number % 2 == 0
        answer = await asker.ask(path, question(plan.dialect, plan.alias, stream=stream))
        found.append(tried(home, number, path, stream=stream, answer=answer))
        progress(len(found), plan.requests)

    patient = max(TIMEOUT_SECONDS, plan.lasts.total_seconds() + LEFT_OVER.total_seconds())
    async with Asker(place, timeout=patient) as asker, asyncio.TaskGroup() as group:
        for number in range(1, plan.requests + 1):
            group.create_task(one(asker, number))
    return sorted(found, key=lambda each: each.number)


def _checks(
    plan: FailingPlan, target: Target, others: Sequence[Target], each: Sequence[Tried], *, left_behind: bool
) -> list[Check]:
    name = str(target)
    met = [one for one in each if any(made.target == name for made in one.attempts)]
    failed = [one for one in met if any(made.target == name and made.error_code for made in one.attempts)]
    slow = plan.fault is Fault.SLOW
    seen = f"{len(met)} of {len(each)} requests met {name}, {len(failed)} failed there"
    lost = sum(1 for one in each if one.request_id is None)
    why = f"{lost} requests got no answer that tells who was asked" if lost else f"no request was sent to {name}"
    checks = [Check("the fault was met", bool(met), seen if met else why)]
    if not slow:
        unseen = [str(one.number) for one in met if one not in failed]
        checks.append(
            Check("failures are in the ledger", not unseen, f"no failure in {', '.join(unseen)}" if unseen else seen)
        )
    return [*checks, _served(plan, others, each), well_formed(each), charged_once(each), _clean(left_behind)]


def _served(plan: FailingPlan, others: Sequence[Target], each: Sequence[Tried]) -> Check:
    """Whether somebody else served, where there is somebody and nothing of an answer had gone out."""
    expected = [one for one in each if not (plan.fault is Fault.CUT and one.stream)]
    lost = [f"{one.number} ({one.saw})" for one in expected if one.served_by is None]
    by = sorted({one.served_by for one in expected if one.served_by})
    if not others and plan.fault is not Fault.SLOW:
        return Check("another target served", False, f"the route of {plan.alias} has no other target")
    told = f"{len(expected) - len(lost)} of {len(expected)} served by {', '.join(by) or 'nobody'}"
    return Check("another target served", not lost, f"{told}; not {', '.join(lost[:3])}" if lost else told)


def _clean(left_behind: bool) -> Check:
    return Check("nothing is left behind", not left_behind, "the drill and its key are gone")
