"""Step 1: do real requests go through the gateway, and does going back without it work?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from keyvault.domain.names import counted
from keyvault.money import format_usd
from opsconsole.staging.asking import Place
from opsconsole.staging.exchanges import Exchange
from opsconsole.staging.readiness.plan import Direct, Replay, source
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
    exchanges, unusable = exchanges_of(here.home, source(here.directory, plan.file), plan.limit)
    evidence = (
        [Evidence("lines left out", None, f"{len(unusable)}, the first: {unusable[0].reason}")] if unusable else []
    )
    player = _player(here, plan, exchanges, _options(here, plan), own=True)
    run = _run(here, NAME, plan, None)
    with here.key_of_application() as (_, place):
        through = _play(here, player, place, run, len(exchanges))
    evidence += _found("through the gateway", plan, through)
    evidence += _beside("whole time, p95", plan.slower, through.total_ms["p95"].ratio)
    evidence += _beside("cost", plan.dearer, through.cost_pico.ratio)
    runs = [f"gwctl replay show {run.id[-8:]}"]
    summary = f"{through.sent - through.broken} of {through.requests} whole for {format_usd(through.spent_pico)} USD"
    if plan.direct is not None:
        run = _run(here, BACK, plan, plan.direct)
        back = _back(here, plan, plan.direct, exchanges, run)
        evidence += _found("without it", plan, back)
        runs.append(f"gwctl replay show {run.id[-8:]}")
        summary += f"; without the gateway {back.sent - back.broken} of {back.requests}"
    return Step.of(NAME, summary, evidence, tuple(runs))


def foreseen(here: Standing, plan: Replay) -> tuple[str, int | None]:
    """What would be sent, and about what it would cost."""
    exchanges, _ = exchanges_of(here.home, source(here.directory, plan.file), plan.limit)
    player = _player(here, plan, exchanges, _options(here, plan), own=True)
    costs = [player.expected_pico(each) for each in exchanges]
    twice = 1 if plan.direct is None else 2
    known = [cost for cost in costs if cost is not None]
    beside = "" if plan.direct is None else f", and again to {plan.direct.url}"
    whole = sum(known) * twice if len(known) == len(costs) else None
    return f"{counted(len(exchanges), 'request')} of {plan.file}{beside}", whole


def _options(here: Standing, plan: Replay) -> Options:
    model = plan.model or here.alias
    return Options(model, concurrency=plan.concurrency, max_cost_pico=plan.max_cost_pico)


def _player(here: Standing, plan: Replay, exchanges: Sequence[Exchange], options: Options, *, own: bool) -> Player:
    return Player(exchanges, options, here.costing, own=own)


def _back(here: Standing, plan: Replay, direct: Direct, exchanges: Sequence[Exchange], run: Run) -> Report:
    place, model = here.beside(direct)
    options = Options(model, concurrency=plan.concurrency)
    return _play(here, _player(here, plan, exchanges, options, own=False), place, run, len(exchanges))


def _play(here: Standing, player: Player, place: Place, run: Run, count: int) -> Report:
    try:
        asyncio.run(player.run(place, run, here.progress(NAME)))
    finally:
        run.release()
    report = report_of(run.done(), count, player.stopped)
    run.finish(report.to_json(), "passed" if report.passed else "failed")
    return report


def _run(here: Standing, name: str, plan: Replay, direct: Direct | None) -> Run:
    file = source(here.directory, plan.file)
    model = plan.model or here.alias if direct is None else direct.model
    url = None if direct is None else direct.url
    told: dict[str, Any] = {"source": file, "model": model, "renamed": {}, "pin": None, "limit": plan.limit, "url": url}
    return here.inner(name, "replay", plan.file, told)


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
