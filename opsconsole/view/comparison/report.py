"""A comparison without a form: figures of each model, differences of each two, and what has to be said beside them.

What is not known is None. Shares and scores are from 0 to 1, preferences from -1 (the second is always better) to 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """What two models are compared by."""

    EXPECTED = "expected"
    """Share of right answers."""
    JUDGE = "judge"
    """Preference of a model that judges."""
    REVIEW = "review"
    """Preference of a person who does not see the names."""
    FIRST_CONTENT = "first_content"
    TOTAL = "total"
    COST = "cost"

    @property
    def is_quality(self) -> bool:
        return self in QUALITY


QUALITY = (Measure.REVIEW, Measure.EXPECTED, Measure.JUDGE)
"""The measures of quality, the weightiest first."""


class Verdict(StrEnum):
    """Which of two is better by a measure, as far as the prompts show it."""

    FIRST = "first"
    SECOND = "second"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95 % interval; `of` trials."""

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFigures:
    """What one model did."""

    model: str
    asked: int
    answered: int
    reused: int
    """Answers that an earlier run had brought."""
    targets: tuple[str, ...]
    """Who served, where it was told."""
    right: Share | None
    """Answers as expected, an answer that failed being wrong. Repeats of a prompt count once, by their mean."""
    preferred: dict[str, tuple[int, int, int]]
    """By judge and by review: prompts won, equal, lost against all others."""
    first_content_ms: float | None
    """Medians."""
    total_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cost_pico: int | None
    """Of all answers whose cost is known."""
    unknown_costs: int
    errors: tuple[str, ...]
    """The most frequent ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first model against the second, on the prompts that both were measured on."""

    measure: Measure
    first: str
    second: str
    prompts: int
    task: str | None = None
    estimate: float | None
    """The first one's share or preference less the second's; of times the typical ratio, of costs that of
    their totals."""
    low: float | None
    high: float | None
    """The 95 % interval of this comparison alone; None where nothing tells how sure it is."""
    p: float | None
    adjusted_p: float | None
    """After Holm's correction, over all comparisons by this measure."""
    comparisons: int
    """How many that are."""
    verdict: Verdict
    needed: int | None
    """Prompts that would show the difference seen, four times in five; None where none was seen, or it is shown."""
    detectable: float | None
    """The difference that so many prompts would have shown, four times in five."""


@dataclass(frozen=True, slots=True)
class Best:
    """The model that is shown to be better than every other, by one class of tasks or by all."""

    task: str | None
    prompts: int
    measure: Measure
    model: str | None
    """None: there is none."""
    among: tuple[str, ...]
    """Those that are not shown to be worse than any other."""


@dataclass(frozen=True, slots=True)
class Judging:
    """How a judge fared: every pair of answers was put to it in both orders."""

    judge: str
    pairs: int
    agreeing: int
    """Pairs about which it said the same in both orders."""
    undecided: int
    """Pairs without a verdict that could be read in both orders."""
    first_place: Share | None
    """How often it preferred what it saw first, of the verdicts that preferred one."""
    as_reviewed: Share | None
    """How often it said what the person said, of the pairs that both decided."""
    cost_pico: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`unfinished`: why not every prompt has its answers; None: it has."""

    id: str
    title: str
    began_at: str
    prompts: int
    tasks: tuple[str, ...]
    repeat: int
    place: str
    models: tuple[ModelFigures, ...]
    differences: tuple[Difference, ...]
    best: tuple[Best, ...]
    judging: Judging | None
    reviewed: int
    review_pending: int
    remarks: tuple[str, ...]
    unfinished: str | None
    records: int
    """How many parts of the run it was made of."""

    def of(self, measure: Measure, task: str | None = None) -> list[Difference]:
        return [each for each in self.differences if each.measure is measure and each.task == task]

    @property
    def qualities(self) -> list[Measure]:
        """The measures of quality that there are, the weightiest first."""
        return weighed((each.measure for each in self.differences), self.review_pending)

    @property
    def quality(self) -> Measure | None:
        """The weightiest of them."""
        return next(iter(self.qualities), None)


def weighed(measures: Iterable[Measure], review_pending: int) -> list[Measure]:
    """The measures of quality among some, the weightiest first; a review that is not done is not weighty."""
    found = set(measures)
    order = (*QUALITY[1:], QUALITY[0]) if review_pending else QUALITY
    return [measure for measure in order if measure in found]
