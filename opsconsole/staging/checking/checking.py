"""The check itself: every probe through the gateway, and beside it at the API behind it, until what differs is sure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from opsconsole.staging.asking import Place
from opsconsole.staging.checking.finding_out import ANY, Named, models_of
from opsconsole.staging.checking.probes import Models, Probe
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.checking.trial import Prober, Side, Trial
from opsconsole.staging.checking.wire import WireProber
from opsconsole.view.checking.report import CheckReport, Result

AT_ONCE: Final = 4
TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to check."""

    named: Named = ANY
    direct_named: Named = ANY
    """What the API itself calls the models; what is not named goes by the gateway's name."""
    probes: Sequence[Probe] = PROBES
    ignored: Sequence[str] = ()
    """Patterns of aspects whose differences count for nothing."""
    sdk: bool = True
    """Ask with the official SDKs."""
    timeout: float = TIMEOUT_SECONDS
    at_once: int = AT_ONCE


async def check(
    place: Place,
    direct: Place | None = None,
    wanted: Wanted = Wanted(),
    told: Callable[[Result], None] = lambda result: None,
) -> CheckReport:
    """Probe a place, beside the API behind it where `direct` is given. `told` gets each result as it is there.

    Raises `Unavailable`, `Locked`, `UsageError` or `NotFound` where a side cannot be probed at all.
    """
    models = await models_of(place, wanted.named, wanted.timeout)
    async with AsyncExitStack() as stack:
        here = Side(await stack.enter_async_context(_prober(place, wanted)), models)
        there = None
        if direct is not None:
            named = _beside(wanted.direct_named, models)
            direct_models = await models_of(direct, named, wanted.timeout)
            there = Side(await stack.enter_async_context(_prober(direct, wanted)), direct_models)
        results = await _all(here, there, wanted, told)
    names = dict.fromkeys(name for name in (models.chat, models.embedding, models.messages) if name)
    return CheckReport(
        url=place.base_url,
        direct_url=None if direct is None else direct.base_url,
        clients=_clients(wanted.sdk),
        models=tuple(names),
        results=tuple(results),
    )


def _prober(place: Place, wanted: Wanted) -> Prober:
    if not wanted.sdk:
        return WireProber(place, timeout=wanted.timeout)
    from opsconsole.staging.checking.sdk import SdkProber

    return SdkProber(place, timeout=wanted.timeout)


def _clients(sdk: bool) -> tuple[str, ...]:
    if not sdk:
        return ("httpx",)
    from opsconsole.staging.checking.sdk import versions

    return (*versions(), "httpx")


def _beside(named: Named, models: Models) -> Named:
    """What to ask the API itself for: the same names, or its own and what it lists."""
    if named.chat is None:
        return Named(models.chat, models.embedding, models.messages)
    return Named(named.chat, named.embedding, named.messages or named.chat)


async def _all(here: Side, there: Side | None, wanted: Wanted, told: Callable[[Result], None]) -> list[Result]:
    free = asyncio.Semaphore(wanted.at_once)

    async def one(probe: Probe) -> Result:
        async with free:
            result = await Trial(probe, here, there, wanted.ignored).run()
        told(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(probe)) for probe in wanted.probes]
    return [task.result() for task in tasks]
