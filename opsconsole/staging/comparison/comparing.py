"""One comparison from its beginning to its report: answers first, then what the judge says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from keyvault.errors import UsageError
from opsconsole.staging.asking import Asker, Place
from opsconsole.staging.comparison.ceiling import Ceiling
from opsconsole.staging.comparison.collecting import (
    Ask,
    Asking,
    Bill,
    Collector,
    Pace,
    answers_of,
    questions_to,
    spent_on,
)
from opsconsole.staging.comparison.given import ANSWER, Given
from opsconsole.staging.comparison.judge import JUDGEMENT, question
from opsconsole.staging.comparison.pairing import pairs
from opsconsole.staging.comparison.plan import Plan
from opsconsole.staging.comparison.prompts import Question, body_for
from opsconsole.staging.costing import Costing
from opsconsole.staging.runs import Run

Progress = Callable[[str], Callable[[int, int], None]]

SLOWEST_SECONDS: Final = 120.0
"""What one answer may take on average in a comparison that comes to its end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking a model would cost. `pico`: about; `bound_pico`: at most; None: a price or a bound is missing."""

    model: str
    requests: int
    reused: int
    pico: int | None
    bound_pico: int | None


class Comparing:
    """Carries out the plan of a run."""

    def __init__(self, run: Run, earlier: Mapping[str, Given]) -> None:
        self.run = run
        self.plan = Plan.of(run.plan)
        self._collector = Collector(run, self.plan.place, earlier)

    def left(self) -> int:
        """How many questions have to be asked, as far as that is known by now."""
        return len(self._answers_left()) + len(self._judgements_left())

    def lasts(self, pace: Pace) -> timedelta:
        """How long asking may take, and as long as a key for it has to live: each question at its slowest."""
        questions = len(self._answers_left()) + self.plan.most_judgements
        slowest = timedelta(seconds=questions * SLOWEST_SECONDS / pace.at_once)
        paced = timedelta(seconds=questions / pace.rate) if pace.rate else slowest
        return min(max(slowest, paced, timedelta(hours=1)), timedelta(days=7))

    async def go(self, ask: Ask, bill: Bill, pace: Pace, max_cost_pico: int | None, progress: Progress) -> bool:
        """Ask what is left; False: the ceiling was in the way."""
        asking = Asking(ask, bill, Ceiling(max_cost_pico, spent_on(self.run.done())), pace)
        if not await self._collector.collect(self._answers_left(), ANSWER, asking, progress("asking")):
            return False
        return await self._collector.collect(self._judgements_left(), JUDGEMENT, asking, progress("judging"))

    async def go_to(self, place: Place, bill: Bill, pace: Pace, max_cost_pico: int | None, progress: Progress) -> bool:
        """The same, of a place."""
        async with Asker(place) as asker:
            return await self.go(questions_to(asker), bill, pace, max_cost_pico, progress)

    def _answers_left(self) -> list[Question]:
        return self._collector.left(self.plan.questions(), ANSWER)

    def _judgements_left(self) -> list[Question]:
        """Of the pairs that are there."""
        if self.plan.judge is None:
            return []
        found = pairs(self.plan.prompts, self.plan.names, answers_of(self.run.done()))
        asked = [
            question(self.plan.judge, pair, swapped=swapped, sending=self.plan.sending)
            for pair in found
            if pair.known is None
            for swapped in (False, True)
        ]
        return self._collector.left(asked, JUDGEMENT)


def estimates(plan: Plan, costing: Costing, earlier: Mapping[str, Given]) -> list[Estimate]:
    """What each model would cost; nothing is asked."""
    bill, every = Bill(costing, own=False), plan.questions()
    found = []
    for model in plan.models:
        asked = [each for each in every if each.model == model]
        left = [each for each in asked if each.key(plan.place) not in earlier]
        found.append(
            Estimate(
                model.name,
                len(left),
                len(asked) - len(left),
                _sum([bill.about(each) for each in left]),
                _sum([bill.at_most(each) for each in left]),
            )
        )
    return found


def check_bounded(plan: Plan, costing: Costing) -> None:
    """A ceiling can only be kept where each request has a bound. Raises `UsageError`."""
    bill = Bill(costing, own=False)
    every = plan.questions()
    if plan.judge is not None:
        first = plan.prompts[0]
        every.append(Question(first, plan.judge, 0, body_for(first.exchange, plan.judge, plan.sending)))
    missing = next((each for each in every if bill.at_most(each) is None), None)
    if missing is None:
        return
    priced = "gwctl prices set UPSTREAM/MODEL --input USD --output USD"
    hint = priced if plan.sending.max_tokens is not None else f"{priced}; a new comparison caps what prompts leave open"
    what = f"what {missing.model.name[:70]!a} takes at most is not known"
    raise UsageError(f"--max-cost cannot be kept: {what}", hint=hint)


def _sum(values: Sequence[Any]) -> int | None:
    return None if None in values else sum(values)
