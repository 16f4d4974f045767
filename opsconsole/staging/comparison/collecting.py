"""Asking all questions of a run: a few at once, no faster than is allowed, within a ceiling, each answer on the disk
before it counts. What is there already is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from opsconsole.staging.asking import Answer, Asker
from opsconsole.staging.comparison.ceiling import Ceiling
from opsconsole.staging.comparison.given import ANSWER, Given, given
from opsconsole.staging.comparison.prompts import Question
from opsconsole.staging.costing import Costing
from opsconsole.staging.runs import Run, Runs

Ask = Callable[[Question], Awaitable[Answer]]
Progress = Callable[[int, int], None]

MOST_EARLIER_RUNS: Final = 50


@dataclass(frozen=True, slots=True)
class Pace:
    """`at_once`: requests at the same time; `rate`: most that begin in a second."""

    at_once: int = 4
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a question costs, as far as is known. `costing` is None where no home knows prices."""

    costing: Costing | None
    by_ledger: bool
    """The answers are this home's own, so that its ledger knows what they cost."""

    def at_most(self, question: Question) -> int | None:
        exchange = question.prompt.exchange
        if self.costing is None:
            return None
        targets = self.costing.targets(exchange.path, question.model.asked, question.model.target)
        return self.costing.at_most(exchange.path, question.body, targets)

    def about(self, question: Question) -> int | None:
        """About what it will cost, with the first of its targets."""
        exchange = question.prompt.exchange
        if self.costing is None:
            return None
        targets = self.costing.targets(exchange.path, question.model.asked, question.model.target)
        return self.costing.about(exchange.path, question.body, targets[0]) if targets else None

    def cost(self, question: Question, answer: Answer, found: Given) -> int | None:
        if self.costing is None:
            return None
        if self.by_ledger:
            return self.costing.of_answer(answer)
        targets = self.costing.targets(question.prompt.exchange.path, question.model.asked, question.model.target)
        return self.costing.of_usage(targets[0], found.usage) if targets and found.usage.output is not None else None


def earlier_answers(runs: Runs, run: Run | None = None) -> dict[str, Given]:
    """The answers of earlier comparisons that were whole, by their keys; the newest counts."""
    found: dict[str, Given] = {}
    for summary in reversed(runs.summaries("compare")[:MOST_EARLIER_RUNS]):
        if run is None or summary.id != run.id:
            kept = {each.key: each for each in answers_of(runs.open("compare", summary.id).done())}
            found |= {key: each for key, each in kept.items() if each.error is None}
    return found


def answers_of(done: Mapping[str, Mapping[str, Any]]) -> list[Given]:
    """The answers among the finished parts of a run."""
    return [Given.of(dict(record)) for record in done.values() if record.get("kind") == ANSWER]


def spent_on(answers: Sequence[Given]) -> int:
    """What a run's own answers took; where a cost is not known, what it was at most."""
    own = [each for each in answers if not each.reused]
    return sum(each.bound_pico or 0 if each.cost_pico is None else each.cost_pico for each in own)


class Collector:
    """Brings the answers of a run."""

    def __init__(self, run: Run, place: str, bill: Bill, ceiling: Ceiling, pace: Pace) -> None:
        """`place`: what tells the place from others in the keys of answers."""
        self._run = run
        self._place = place
        self._bill = bill
        self._ceiling = ceiling
        self._pace = pace
        self._next_at = 0.0
        self.stopped = False
        """Whether the ceiling was in the way."""

    async def collect(
        self, questions: Sequence[Question], earlier: Mapping[str, Given], ask: Ask, progress: Progress
    ) -> None:
        """Ask what is not there yet; what failed before is asked again."""
        whole = {each_id for each_id, record in self._run.done().items() if record.get("error") is None}
        left = [question for question in questions if question.id not in whole]
        waiting, finished = iter(left), len(questions) - len(left)
        self.stopped = False
        progress(finished, len(questions))

        async def worker() -> None:
            nonlocal finished
            for question in waiting:
                if self.stopped or not await self._answer(question, earlier, ask):
                    self.stopped = True
                    return
                finished += 1
                progress(finished, len(questions))

        async with asyncio.TaskGroup() as group:
            for _ in range(self._pace.at_once):
                group.create_task(worker())

    async def _answer(self, question: Question, earlier: Mapping[str, Given], ask: Ask) -> bool:
        """One question is answered, and its answer on the disk; False: there is no money for it."""
        key = question.key(self._place)
        if (before := earlier.get(key)) is not None:
            again = replace(before, prompt=question.prompt.id, model=question.model.name, reused=True)
            self._run.add(question.id, again.told())
            return True
        bound = self._bill.at_most(question)
        if not await self._ceiling.hold(bound):
            return False
        await self._in_turn()
        answer = await ask(question)
        found = given(question, key, answer)
        cost = await asyncio.to_thread(self._bill.cost, question, answer, found)
        self._run.add(question.id, replace(found, cost_pico=cost, bound_pico=bound).told())
        await self._ceiling.settle(bound, cost)
        return True

    async def _in_turn(self) -> None:
        """Wait for this request's turn, where only so many may begin in a second."""
        if self._pace.rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._next_at = max(self._next_at, now)
        wait, self._next_at = self._next_at - now, self._next_at + 1 / self._pace.rate
        await asyncio.sleep(wait)


def asking(asker: Asker) -> Ask:
    """Questions put to a place."""

    async def ask(question: Question) -> Answer:
        return await asker.ask(question.prompt.exchange.path, question.body, headers=question.headers)

    return ask
