"""One probe on trial: asked on both sides until it is sure what differs, and judged.

What a model or a server behind the gateway does not do is no fault: such a probe is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from keyvault.domain.endpoints import Dialect
from keyvault.secrets import scrub_foreign
from opsconsole.staging.asking import said
from opsconsole.staging.checking.aspects import Facts
from opsconsole.staging.checking.comparing import differing, unmet
from opsconsole.staging.checking.edits import why_allowed
from opsconsole.staging.checking.facts import Seen, dialect_of, facts_of
from opsconsole.staging.checking.probes import Models, Probe
from opsconsole.staging.checking.shapes import Unmet
from opsconsole.view.checking.report import Difference, Result, Verdict

AT_MOST: Final = 6
"""How often a probe is asked through the gateway before a difference counts. Of two answers that a model gives equally
often, only the one comes here six times and only the other there seven times once in 4,000 checks."""

CANNOT: Final = (400, 403, 404, 405, 415, 422, 501)
"""Statuses that say that something is not done here; others do so only in words."""

UNKNOWN: Final = (404, 405, 501)
"""Statuses of a path that is not there: not every place speaks the messages dialect."""

LONGEST_VALUE: Final = 500
"""How much of a value a report holds."""


class Prober(Protocol):
    """Asks one place."""

    async def __aenter__(self) -> Prober: ...
    async def __aexit__(self, *error: object) -> None: ...
    async def ask(self, probe: Probe, models: Models) -> Seen: ...
    def client_of(self, probe: Probe) -> str: ...


@dataclass(frozen=True, slots=True)
class Side:
    """A place that is asked, and its models."""

    prober: Prober
    models: Models


@dataclass(slots=True)
class _Answers:
    """All answers of one side to one probe."""

    probe: Probe
    side: Side
    seen: list[Seen] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)

    async def ask(self) -> None:
        seen = await self.side.prober.ask(self.probe, self.side.models)
        self.seen.append(seen)
        self.facts.append(facts_of(self.probe.path, seen, wants_json=self.probe.wants_json))

    @property
    def ms(self) -> float | None:
        """Of the quickest. The first take longer: connections open, and an SDK prepares itself."""
        return round(min(each.answer.total_ms for each in self.seen), 1) if self.seen else None


class Trial:
    """One probe through the gateway, and at the API behind it unless `there` is None."""

    def __init__(self, probe: Probe, here: Side, there: Side | None, ignored: Sequence[str]) -> None:
        """`ignored`: patterns of aspects whose differences count for nothing."""
        self._probe = probe
        self._here = _Answers(probe, here)
        self._there = None if there is None else _Answers(probe, there)
        self._same_model = there is None or probe.model(here.models) == probe.model(there.models)
        self._ignored = ignored

    async def run(self) -> Result:
        sides = [self._here, *([self._there] if self._there else [])]
        if not all(self._probe.model(each.side.models) for each in sides):
            return self._result(Verdict.SKIPPED, (), "no model for it is named")
        if self._there is not None:
            await self._there.ask()
        found = await self._again()
        while len(self._here.seen) < AT_MOST and any(each.allowed is None for each in found):
            found = await self._again()
        counted = [each for each in found if each.allowed is None]
        if (reason := self._cannot(differs=bool(counted))) is not None:
            return self._result(Verdict.SKIPPED, found, reason)
        return self._result(Verdict.DIFFERS if counted else Verdict.PASSED, found)

    async def _again(self) -> list[Difference]:
        """What differs after one more answer on each side."""
        await self._here.ask()
        if self._there is not None:
            await self._there.ask()
        return [self._difference(miss) for miss in self._misses()]

    def _misses(self) -> list[Unmet]:
        if self._there is None:
            return unmet(self._here.facts, self._probe.shape)
        return differing(self._here.facts, self._there.facts)

    def _difference(self, miss: Unmet) -> Difference:
        why = why_allowed(self._probe, miss, same_model=self._same_model, ignored=self._ignored)
        return Difference(str(miss.aspect), _shown(miss.expected), _shown(miss.found), why)

    def _cannot(self, *, differs: bool) -> str | None:
        """What is not done behind the gateway; None where it is, and where a difference says more."""
        if differs and self._there is not None and not self._only_here():
            return None
        behind, probe = self._there or self._here, self._probe
        answer = behind.seen[-1].answer
        heard = said(probe.path, answer)
        text = heard.error_text or heard.error_code or "no reason given"
        refusal = f"the answer is {answer.status}: {text}"
        if probe.fails:
            if probe.optional and answer.ok and heard.error_code is None:
                return "it is not refused"
            unknown = differs and answer.status in UNKNOWN and dialect_of(probe.path) is Dialect.MESSAGES
            return refusal if unknown else None
        if not behind.seen[-1].refused:
            return probe.lacks(behind.facts[-1])
        return refusal if probe.optional and (answer.status in CANNOT or "support" in text) else None

    def _only_here(self) -> bool:
        """Whether the API refuses what the gateway answers as it should, since a fallback of its own can do it."""
        probe, there = self._probe, self._there
        refused = there is not None and probe.optional and not probe.fails and all(each.refused for each in there.seen)
        return refused and not unmet(self._here.facts, probe.shape)

    def _result(self, verdict: Verdict, found: Sequence[Difference], reason: str | None = None) -> Result:
        counted = [each for each in found if each.allowed is None and verdict is Verdict.DIFFERS]
        return Result(
            id=self._probe.id,
            about=self._probe.about,
            verdict=verdict,
            client=self._here.side.prober.client_of(self._probe),
            ms=self._here.ms,
            direct_ms=self._there.ms if self._there else None,
            differences=tuple(counted),
            allowed=tuple(each for each in found if each.allowed is not None),
            reason=reason,
        )


def _shown(value: str | None) -> str | None:
    """A value for a report: short, and without what looks like a credential, which an error may repeat."""
    return None if value is None else scrub_foreign(value[:LONGEST_VALUE])
