"""Step 1: does the gateway behave, for this alias, like the API behind it?"""

from __future__ import annotations

import asyncio
from fnmatch import fnmatchcase

from keyvault.domain.names import counted
from keyvault.errors import UsageError
from opsconsole.staging.checking.checking import Wanted, check
from opsconsole.staging.checking.finding_out import Named
from opsconsole.staging.checking.probes import Probe
from opsconsole.staging.checking.sdks import installed
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.readiness.plan import Check
from opsconsole.staging.readiness.step import Standing
from opsconsole.view.checking.report import Result, Verdict
from opsconsole.view.readiness.report import Evidence, Step

NAME = "check"


def checked(here: Standing, plan: Check) -> Step:
    """Probe the alias, beside the API behind it where one is named. Raises `GatewayError` where it cannot be tried."""
    probes = probes_of(plan)
    beside, model = (None, None) if plan.direct is None else here.beside(plan.direct)
    sdk = installed() if plan.client is None else plan.client == "sdk"
    wanted = Wanted(named=Named(here.alias), direct_named=Named(model), probes=probes, ignored=plan.ignore, sdk=sdk)
    progress, results = here.progress(NAME), []

    def told(result: Result) -> None:
        results.append(result)
        progress(len(results), len(probes))

    with here.key_of_application() as (_, place):
        report = asyncio.run(check(place, beside, wanted, told))
    differing = report.count(Verdict.DIFFERS)
    few = differing <= plan.tolerate
    evidence = [
        Evidence(f"{each.id}: {each.about}", few, each.remark)
        for each in report.results
        if each.verdict is Verdict.DIFFERS
    ]
    evidence.append(Evidence("probes", few and report.count(Verdict.PASSED) > 0, report.summary))
    asked = f"asked with {', '.join(report.clients)}" + (f" beside {report.direct_url}" if beside else "")
    return Step.of(NAME, f"{report.summary}; {asked}", evidence)


def probes_of(plan: Check) -> list[Probe]:
    """Raises `UsageError` where the patterns name none."""
    found = [each for each in PROBES if not plan.only or any(fnmatchcase(each.id, name) for name in plan.only)]
    if not found:
        raise UsageError(f"no probe goes by {', '.join(plan.only)}", hint="only = ['chat*']")
    return found


def foreseen(_: Standing, plan: Check) -> tuple[str, int | None]:
    """What would be done, and about what it would cost."""
    beside = "" if plan.direct is None else f", each also at {plan.direct.url}"
    return f"{counted(len(probes_of(plan)), 'probe')}{beside}", None
