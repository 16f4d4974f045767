"""Step 2: are the answers of the alias as good as those of the model it is to replace?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from keyvault.domain.names import counted
from keyvault.money import format_usd
from opsconsole.staging.comparison.collecting import Bill, Pace
from opsconsole.staging.comparison.comparisons import Comparisons, Wanted, check_guard, finished
from opsconsole.staging.readiness.plan import Compare, source
from opsconsole.staging.readiness.step import Standing
from opsconsole.view.comparison.guard import worse_than
from opsconsole.view.comparison.report import Comparison
from opsconsole.view.comparison.sentences import sentences
from opsconsole.view.readiness.report import Evidence, Step

NAME = "compare"


def compared(here: Standing, plan: Compare) -> Step:
    """Put the prompts to the alias and the other models. Raises `GatewayError` where it cannot be tried."""
    comparisons = Comparisons(here.home)
    wanted = _wanted(here, plan)
    planned = comparisons.plan(wanted)
    comparisons.check_ceiling(planned, plan.max_cost_pico)
    check_guard(planned, plan.baseline, plan.margin)
    run = here.inner(NAME, "compare", f"{', '.join(planned.names)} on {plan.prompts}", planned.told())
    comparing = comparisons.comparing(run)
    whole = True
    try:
        if comparing.left():
            pace = Pace()
            with here.key(lives=comparing.lasts(pace)) as (_, place):
                bill = Bill(comparisons.costing, own=True)
                going = comparing.go_to(place, bill, pace, plan.max_cost_pico, lambda _: here.progress(NAME))
                whole = asyncio.run(going)
    finally:
        run.release()
    found = finished(run, None if whole else "the cost ceiling is reached")
    summary = sentences(found)[0] if sentences(found) else counted(found.prompts, "prompt")
    return Step.of(NAME, summary, list(_evidence(here, plan, found)), (f"gwctl compare show {run.id[-8:]}",))


def foreseen(here: Standing, plan: Compare) -> tuple[str, int | None]:
    """What would be asked, and about what it would cost."""
    comparisons = Comparisons(here.home)
    planned = comparisons.plan(_wanted(here, plan))
    costs = [each.pico for each in comparisons.estimates(planned)]
    known = [cost for cost in costs if cost is not None]
    what = f"{counted(len(planned.prompts), 'prompt')} to each of {', '.join(planned.names)}"
    return what, sum(known) if len(known) == len(costs) else None


def _wanted(here: Standing, plan: Compare) -> Wanted:
    return Wanted(
        source=source(here.directory, plan.prompts),
        models=tuple(dict.fromkeys((here.alias, *plan.models))),
        repeat=plan.repeat,
        judge=plan.judge,
        limit=plan.limit,
        bounded=plan.max_cost_pico is not None,
    )


def _evidence(here: Standing, plan: Compare, found: Comparison) -> Iterator[Evidence]:
    yield Evidence("prompts", found.prompts >= plan.least, f"{found.prompts}, and {plan.least} are needed")
    if found.unfinished is not None:
        yield Evidence("all answers are there", False, found.unfinished)
    for model in found.models:
        failed = model.asked - model.answered
        cost = "cost unknown" if model.cost_pico is None else f"{format_usd(model.cost_pico)} USD"
        told = f"{model.answered} of {model.asked} answered, {cost}" + (f"; {model.errors[0]}" if failed else "")
        held = (failed == 0) if model.model == here.alias else None
        yield Evidence(model.model, held, told)
    if plan.baseline is not None:
        margin = None if plan.margin is None else plan.margin / 100
        worse = worse_than(_about(found, here.alias), plan.baseline, margin)
        told = "; ".join(worse) or f"{here.alias} is not shown to be worse"
        yield Evidence(f"against {plan.baseline}", not worse, told)
    for sentence in sentences(found)[1:]:
        yield Evidence("told", None, sentence)


def _about(found: Comparison, alias: str) -> Comparison:
    """The same without what other models are to each other."""
    return replace(found, differences=tuple(each for each in found.differences if alias in (each.first, each.second)))
