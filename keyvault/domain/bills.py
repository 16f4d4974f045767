"""What a provider's export says was used or taken, day by day and model by model, and how the ledger compares.

A figure that an export does not have is None. Input counts include what was read from and written to a cache, as in
the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

_DATED: Final = re.compile(r"[-@](latest|20\d\d-?\d\d-?\d\d)$")
_VARIANT: Final = re.compile(r"(?<=/)([^/:]+):[a-z]+$")


@dataclass(slots=True)
class Sums:
    """Of one model on one day."""

    requests: int | None = None
    input: int | None = None
    cached: int | None = None
    output: int | None = None
    cost_pico: int | None = None

    def add(self, other: Sums) -> None:
        for name in ("requests", "input", "cached", "output", "cost_pico"):
            more = getattr(other, name)
            if more is not None:
                setattr(self, name, (getattr(self, name) or 0) + more)

    @property
    def tokens(self) -> int | None:
        return None if self.input is None and self.output is None else (self.input or 0) + (self.output or 0)


Lines = dict[tuple[str, str], Sums]
"""By day and model; the model is empty where an export does not say it."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A provider's export, read."""

    form: str
    lines: Lines

    @property
    def has_cost(self) -> bool:
        return any(sums.cost_pico is not None for sums in self.lines.values())

    @property
    def has_models(self) -> bool:
        return any(model for _, model in self.lines)


class Verdict(StrEnum):
    """What became of a line's difference."""

    EQUAL = "equal"
    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"
    UNBOUNDED = "cannot tell"
    """The provider says more, and there are attempts that may have come to any amount: it counts as unexplained."""
    OPEN = "not over"
    """The day has not ended, so that nothing is judged."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that accounts for a part of a difference."""

    text: str
    amount: int


@dataclass(slots=True)
class Comparison:
    """One day and model. Amounts are in the unit that was compared: pico-dollars, or tokens."""

    day: str
    model: str
    theirs: int
    ours: int
    unexplained: int
    """What is left of `difference`, with its sign."""
    reasons: list[Reason] = field(default_factory=list)
    is_open: bool = False
    unbounded: int = 0
    """Attempts that may have come to any amount."""
    remark: str = ""
    """What may be said of what is left; it explains nothing."""

    @property
    def difference(self) -> int:
        """Positive where the provider says more."""
        return self.theirs - self.ours

    @property
    def verdict(self) -> Verdict:
        if self.is_open:
            return Verdict.OPEN
        if self.unexplained:
            return Verdict.UNBOUNDED if self.unbounded and self.unexplained > 0 else Verdict.UNEXPLAINED
        return Verdict.EXPLAINED if self.reasons else Verdict.EQUAL

    def explain(self, text: str, at_most: int | None = None) -> None:
        """Take from what is unexplained, `at_most` so much; where nothing is left nothing is said."""
        amount = abs(self.unexplained) if at_most is None else min(abs(self.unexplained), at_most)
        if amount > 0:
            self.reasons.append(Reason(text, amount))
            self.unexplained -= amount if self.unexplained > 0 else -amount


@dataclass(frozen=True, slots=True)
class Reconciliation:
    upstream: str
    form: str
    by_cost: bool
    """Whether costs were compared, else tokens."""
    tz: str
    days: tuple[str, str]
    """The first and the last that were compared."""
    lines: Sequence[Comparison]

    @property
    def judged(self) -> list[Comparison]:
        return [line for line in self.lines if not line.is_open]

    @property
    def not_over(self) -> int:
        """What the provider says of days that have not ended."""
        return sum(line.theirs for line in self.lines if line.is_open)

    @property
    def theirs(self) -> int:
        return sum(line.theirs for line in self.judged)

    @property
    def ours(self) -> int:
        return sum(line.ours for line in self.judged)

    @property
    def unexplained(self) -> int:
        """Without regard to sign: too much here does not make up for too little there."""
        return sum(abs(line.unexplained) for line in self.judged)

    @property
    def share(self) -> float:
        """What is unexplained, of what the larger side of each line adds up to."""
        return self.unexplained / max(sum(max(abs(line.theirs), abs(line.ours)) for line in self.judged), 1)


def plain_model(name: str) -> str:
    """A model's name without what tells its releases apart: `GPT-4o-2024-08-06` → `gpt-4o`."""
    return _VARIANT.sub(r"\1", _DATED.sub("", name.strip().casefold()))
