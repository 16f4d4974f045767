"""Whether an alias is ready for production, as data: a verdict for each step, with what shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

STEPS: Final[Mapping[str, tuple[int, str]]] = {
    "check": (1, "behaves like the API behind it"),
    "replay": (1, "real requests go through, and back without it"),
    "compare": (2, "the answers are as good"),
    "drill": (3, "another target serves when one breaks"),
    "quota": (4, "limits, budgets and balances bite"),
    "spend": (4, "who spent what adds up"),
    "keys": (5, "an old secret is refused"),
    "rollout": (6, "a little traffic goes there, and back"),
}
"""Each step by its name, in the order of the report: which of the six questions it answers, and what it shows."""


class Verdict(StrEnum):
    """What became of a step."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_TRIED = "could not be tried"
    NOT_RUN = "not run"
    """Nobody asked for it."""


class Overall(StrEnum):
    """What all of them come to."""

    READY = "ready"
    SO_FAR = "ready so far"
    """What was run passed, and something was not run."""
    NOT_READY = "not ready"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was looked at. `held`: None where it is only told."""

    what: str
    held: bool | None
    found: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step."""

    name: str
    verdict: Verdict
    summary: str
    evidence: tuple[Evidence, ...] = ()
    runs: tuple[str, ...] = ()
    """Where there is more of it, such as `gwctl replay show 7k3f9q2m`."""

    @property
    def number(self) -> int:
        return STEPS[self.name][0]

    @classmethod
    def of(cls, name: str, summary: str, evidence: list[Evidence], runs: tuple[str, ...] = ()) -> Step:
        """Passed where all that was looked at held."""
        held = all(each.held is not False for each in evidence)
        return cls(name, Verdict.PASSED if held else Verdict.FAILED, summary, tuple(evidence), runs)

    def to_json(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told

    @classmethod
    def of_json(cls, told: Any) -> Step:
        return msgspec.convert(told, cls)


@dataclass(frozen=True, slots=True)
class Readiness:
    """All steps of one alias, in the order of the report. `unfinished`: it was interrupted, and can be gone on with."""

    id: str
    alias: str
    file: str
    began_at: str
    steps: tuple[Step, ...]
    unfinished: bool = False

    @property
    def overall(self) -> Overall:
        verdicts = {step.verdict for step in self.steps}
        if self.unfinished or verdicts & {Verdict.FAILED, Verdict.NOT_TRIED} or Verdict.PASSED not in verdicts:
            return Overall.NOT_READY
        return Overall.SO_FAR if Verdict.NOT_RUN in verdicts else Overall.READY

    def named(self, verdict: Verdict) -> list[str]:
        return [step.name for step in self.steps if step.verdict is verdict]

    @property
    def sentence(self) -> str:
        """The verdict with its reasons, in one line."""
        told = [
            *([f"failed: {', '.join(failed)}"] if (failed := self.named(Verdict.FAILED)) else []),
            *([f"could not be tried: {', '.join(found)}"] if (found := self.named(Verdict.NOT_TRIED)) else []),
            *([f"not run: {', '.join(skipped)}"] if (skipped := self.named(Verdict.NOT_RUN)) else []),
        ]
        beginning = f"{self.alias} is {self.overall}" + (" (interrupted)" if self.unfinished else "")
        return "; ".join([beginning, *told])
