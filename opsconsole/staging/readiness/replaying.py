"""Step 1: do real requests go through the gateway, and does going back without it work?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from keyvault.domain.names import counted
from keyvault.money import format_usd
from opsconsole.staging.asking import Place
from opsconsole.staging.exchanges import Exchange, Unusable
from opsconsole.staging.readiness.plan import Replay, source
from opsconsole.staging.readiness.step import Standing
from opsconsole.staging.replaying import Options, Report, report_of
from opsconsole.staging.replaying import Replay as Player
from opsconsole.staging.runs import Run
from opsconsole.staging.sources import exchanges_of
from opsconsole.view.readiness.report import Evidence, Step

NAME = "replay"
BACK = "replay without the gateway"


def replayed(here: Standing, plan: Replay) -> Step:
    """Send the requests, and where the API behind the gateway is named, there too. Raises `GatewayError`."""
    exchanges, unusable = _exchanges(here, plan)
    left_out = f"{len(unusable)}, the first: {unusable[0].reason}" if unusable else "none"
    evidence = [Evidence("lines left out", None, left_out)]
    with here.key_of_application() as (_, place):
        run, through = _sent(here, plan, exchanges, place, _model(here, plan))
    evidence += _found("through the gateway", plan, through)
    evidence += _beside("whole time, p95,", plan.slower, through.total_ms["p95"].ratio)
    evidence += _beside("cost", plan.dearer, through.cost_pico.ratio)
    runs = [run]
    summary = f"{through.sent - through.broken} of {through.requests} whole for {format_usd(through.spent_pico)} USD"
    if plan.direct is not None:
        place, model = here.beside(plan.direct)
        run, back = _sent(here, plan, exchanges, place, model, url=plan.direct.url)
        evidence += _found("without it", plan, back)
        runs.append(run)
        summary += f"; without the gateway {back.sent - back.broken} of {back.requests}"
    return Step.of(NAME, summary, evidence, tuple(f"gwctl replay show {run.id[-8:]}" for run in runs))


def foreseen(here: Standing, plan: Replay) -> tuple[str, int | None]:
    """What would be sent, and about what it would cost."""
    exchanges, _ = _exchanges(here, plan)
    player = Player(exchanges, Options(_model(here, plan)), here.costing, own=True)
    costs = [player.expected_pico(each) for each in exchanges]
    known = [cost for cost in costs if cost is not None]
    beside, times = ("", 1) if plan.direct is None else (f", and again to {plan.direct.url}", 2)
    whole = sum(known) * times if len(known) == len(costs) else None
    return f"{counted(len(exchanges), 'request')} of {plan.file}{beside}", whole


def _exchanges(here: Standing, plan: Replay) -> tuple[list[Exchange], list[Unusable]]:
    return exchanges_of(here.home, source(here.directory, plan.file), plan.limit)


def _model(here: Standing, plan: Replay) -> str:
    return plan.model or here.alias


def _sent(
    here: Standing, plan: Replay, exchanges: Sequence[Exchange], place: Place, model: str, *, url: str | None = None
) -> tuple[Run, Report]:
    """The replay and what it found. `url`: of another place than the gateway; what its requests cost is not known
    before, so that no ceiling is kept there."""
    ceiling = plan.max_cost_pico if url is None else None
    options = Options(model, concurrency=plan.concurrency, max_cost_pico=ceiling)
    player = Player(exchanges, options, here.costing, own=url is None)
    run = here.inner(NAME if url is None else BACK, NAME, plan.file, _told(here, plan, options, url, len(exchanges)))
    try:
        asyncio.run(player.run(place, run, here.progress(NAME)))
    finally:
        run.release()
    report = report_of(run.done(), len(exchanges), player.stopped)
    run.finish(report.to_json(), "passed" if report.passed else "failed")
    return run, report


def _told(here: Standing, plan: Replay, options: Options, url: str | None, requests: int) -> dict[str, Any]:
    """As `gwctl replay` keeps it, which can go on with it."""
    return {
        "source": source(here.directory, plan.file),
        "model": options.model,
        "renamed": {},
        "pin": None,
        "limit": plan.limit,
        "url": url,
        "max_cost_pico": options.max_cost_pico,
        "tolerate": plan.tolerate,
        "requests": requests,
    }


def _found(where: str, plan: Replay, report: Report) -> Iterator[Evidence]:
    few = report.broken <= plan.tolerate
    yield Evidence(f"whole {where}", few and report.sent > 0, f"{report.broken} of {report.sent} break")
    if report.stopped is not None:
        yield Evidence(f"all sent {where}", False, f"{report.sent} of {report.requests}: {report.stopped}")
    for kind in report.kinds:
        held = None if few or not kind.breaks else False
        yield Evidence(f"{kind.kind} {where}", held, kind.examples[0])


def _beside(what: str, most: float | None, ratio: float | None) -> Iterator[Evidence]:
    """A figure beside the recorded one."""
    if ratio is not None:
        allowed = "" if most is None else f", at most {most:g}x allowed"
        yield Evidence(f"{what} beside the record", None if most is None else ratio <= most, f"{ratio:.2f}x{allowed}")
    elif most is not None:
        yield Evidence(f"{what} beside the record", False, "nothing was recorded to compare with")
