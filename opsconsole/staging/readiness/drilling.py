"""Step 3: does another target serve when one breaks? Step 4: do limits, budgets and balances bite?"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keyvault.domain.drills import FAULTS
from keyvault.domain.names import counted
from keyvault.money import format_usd
from opsconsole.staging.drilling import Drilled, FailingPlan, QuotaPlan, exhaust, fail
from opsconsole.staging.readiness.plan import Drill, Quota
from opsconsole.staging.readiness.step import Standing
from opsconsole.view.readiness.report import Evidence, Step

DRILL, QUOTA = "drill", "quota"


def drilled(here: Standing, plan: Drill) -> Step:
    """Break the target in each way, one after the other. Raises `GatewayError` where it cannot be tried."""
    evidence: list[Evidence] = []
    for fault in plan.faults:
        dialect = here.plan.alias.dialect
        failing = FailingPlan(here.alias, fault, plan.target, plan.requests, plan.lasts, dialect)
        found = fail(here.home, failing, here.progress(f"{DRILL} {fault}"))
        evidence += [Evidence(f"{fault}: {each.name}", each.held, each.evidence) for each in found.checks]
        evidence += _seen(str(fault), found)
    target = plan.target or here.targets()[0]
    told = ", ".join(FAULTS[fault] for fault in plan.faults)
    return Step.of(DRILL, f"{target}: {told}; {_held(evidence)}", evidence)


def exhausted(here: Standing, _: Quota) -> Step:
    """Let each quota run out. Raises `GatewayError` where it cannot be tried, as without a price."""
    found = exhaust(here.home, QuotaPlan(here.alias, here.plan.alias.dialect), here.progress(QUOTA))
    evidence = [Evidence(each.name, each.held, each.evidence) for each in found.checks]
    spent = sum(made.charge_pico or 0 for one in found.tried for made in one.attempts)
    told = f"{counted(len(found.tried), 'request')} for {format_usd(spent)} USD"
    return Step.of(QUOTA, f"{told}; {_held(evidence)}", evidence)


def foreseen_drill(here: Standing, plan: Drill) -> tuple[str, int | None]:
    """What would be broken, and about what the requests would cost."""
    target = plan.target or here.targets()[0]
    one = about_one(here)
    count = plan.requests * len(plan.faults)
    return f"{target} for one key: {', '.join(plan.faults)}; {counted(count, 'request')}", one and one * count


def foreseen_quota(here: Standing, _: Quota) -> tuple[str, int | None]:
    """What would run out."""
    one = about_one(here)
    return "a limit, a budget and a balance of keys made for it run out", one and one * 10


def about_one(here: Standing) -> int | None:
    """About what one question of ours costs."""
    return here.costing.about(here.path, msgspec.json.encode(here.question()), here.targets()[0])


def _seen(fault: str, found: Drilled) -> Sequence[Evidence]:
    """What clients saw, and how long the slowest waited."""
    slowest = max((one.total_ms for one in found.tried), default=0.0)
    saw = ", ".join(sorted({one.saw for one in found.tried}))
    return [Evidence(f"{fault}: clients saw", None, f"{saw}; the slowest waited {slowest:,.0f} ms")]


def _held(evidence: Sequence[Evidence]) -> str:
    looked = [each for each in evidence if each.held is not None]
    return f"{sum(bool(each.held) for each in looked)} of {len(looked)} promises held"
