"""The check itself: every probe through the gateway, and beside it at the API behind it, until what differs is sure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from opsconsole.staging.asking import Place, said
from opsconsole.staging.checking.aspects import Facts
from opsconsole.staging.checking.comparing import differing, unmet
from opsconsole.staging.checking.edits import why_allowed
from opsconsole.staging.checking.facts import Seen, facts_of
from opsconsole.staging.checking.finding_out import ANY, Named, models_of
from opsconsole.staging.checking.probes import Models, Probe
from opsconsole.staging.checking.shapes import Unmet
from opsconsole.staging.checking.table import PROBES
from opsconsole.staging.checking.wire import WireProber
from opsconsole.view.checking.report import CheckReport, Difference, Result, Verdict

AT_MOST: Final = 6
"""How often a probe is asked through the gateway before a difference counts. Of two answers that a model gives equally
often, only the one comes here six times and only the other there seven times once in 4,000 checks."""
AT_ONCE: Final = 4
TIMEOUT_SECONDS: Final = 60.0


class Prober(Protocol):
    """Asks one place."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *error: object) -> None: ...
    async def ask(self, probe: Probe, models: Models) -> Seen: ...
    def client_of(self, probe: Probe) -> str: ...


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


@dataclass(frozen=True, slots=True)
class _Side:
    prober: Prober
    models: Models

    async def ask(self, probe: Probe) -> Seen:
        return await self.prober.ask(probe, self.models)


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
        here = _Side(await stack.enter_async_context(_prober(place, wanted)), models)
        there = None
        if direct is not None:
            named = _beside(wanted.direct_named, models)
            direct_models = await models_of(direct, named, wanted.timeout)
            there = _Side(await stack.enter_async_context(_prober(direct, wanted)), direct_models)
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
    return Named(
        named.chat or models.chat,
        named.embedding or models.embedding,
        named.messages or named.chat or models.messages,
    )


async def _all(here: _Side, there: _Side | None, wanted: Wanted, told: Callable[[Result], None]) -> list[Result]:
    free = asyncio.Semaphore(wanted.at_once)

    async def one(probe: Probe) -> Result:
        async with free:
            result = await _Trial(probe, here, there, wanted.ignored).run()
        told(result)
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(probe)) for probe in wanted.probes]
    return [task.result() for task in tasks]


@dataclass(slots=True)
class _Trial:
    """One probe, asked until it is sure what differs."""

    probe: Probe
    here: _Side
    there: _Side | None
    ignored: Sequence[str]
    seen: list[Seen] = field(default_factory=list)
    direct: list[Seen] = field(default_factory=list)

    async def run(self) -> Result:
        sides = [self.here, *([self.there] if self.there else [])]
        if not all(self.probe.model(side.models) for side in sides):
            return self._result(Verdict.SKIPPED, reason="no model for it is named")
        await self._ask_direct()
        found = await self._ask()
        while found and len(self.seen) < AT_MOST:
            found = await self._ask()
        return self._judged(found)

    async def _ask_direct(self) -> None:
        if self.there is not None:
            self.direct.append(await self.there.ask(self.probe))

    async def _ask(self) -> list[Unmet]:
        """What differs after one more answer on each side."""
        self.seen.append(await self.here.ask(self.probe))
        await self._ask_direct()
        found = self._differences()
        return [miss for miss in found if self._why_allowed(miss) is None]

    def _differences(self) -> list[Unmet]:
        if self.there is None:
            return unmet(self._facts(self.seen), self.probe.shape)
        return differing(self._facts(self.seen), self._facts(self.direct))

    def _facts(self, seen: Sequence[Seen]) -> list[Facts]:
        return [facts_of(self.probe.path, each, wants_json=self.probe.wants_json) for each in seen]

    def _why_allowed(self, miss: Unmet) -> str | None:
        same = self.there is None or self.here.models.chat == self.there.models.chat
        return why_allowed(self.probe, miss, same_model=same, ignored=self.ignored)

    def _judged(self, found: Sequence[Unmet]) -> Result:
        reason = self._cannot(bool(found))
        if reason is not None:
            return self._result(Verdict.SKIPPED, reason=reason)
        return self._result(Verdict.DIFFERS if found else Verdict.PASSED)

    def _cannot(self, differs: bool) -> str | None:
        """What the model behind does not do; None where it does, and where a difference says more."""
        if differs and self.there is not None:
            return None
        of_itself = (self.direct or self.seen)[-1]
        probe = self.probe
        if probe.fails:
            answered = probe.optional and of_itself.answer.ok and said(probe.path, of_itself.answer).error_code is None
            return "it is not refused" if answered else None
        if probe.optional and of_itself.refused:
            heard = said(probe.path, of_itself.answer)
            return f"the answer is {of_itself.answer.status}: {heard.error_text or heard.error_code}"
        return probe.lacks(self._facts([of_itself])[0])

    def _result(self, verdict: Verdict, *, reason: str | None = None) -> Result:
        misses = self._differences() if self.seen else []
        counted: list[Difference] = []
        allowed: list[Difference] = []
        for miss in misses:
            why = self._why_allowed(miss)
            difference = Difference(str(miss.aspect), miss.expected, miss.found, why)
            (counted if why is None else allowed).append(difference)
        return Result(
            id=self.probe.id,
            about=self.probe.about,
            verdict=verdict,
            client=self.here.prober.client_of(self.probe),
            ms=_quickest(self.seen),
            direct_ms=_quickest(self.direct),
            differences=tuple(counted) if verdict is Verdict.DIFFERS else (),
            allowed=tuple(allowed),
            reason=reason,
        )


def _quickest(seen: Sequence[Seen]) -> float | None:
    """The first answers take longer: connections open, and an SDK prepares itself."""
    return round(min(each.answer.total_ms for each in seen), 1) if seen else None
