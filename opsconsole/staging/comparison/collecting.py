"""Asking all questions of a run: a few at once, no faster than is allowed, within a ceiling, each answer on the disk
before it counts. What is there already, in this run or an earlier one, is not asked again; what failed is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from keyvault.money import parse_usd
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
    """What a question costs, as far as is known. `own`: this home's ledger knows what its answer cost."""

    costing: Costing
    own: bool

    def at_most(self, question: Question) -> int | None:
        targets = self._targets(question)
        return self.costing.at_most(question.prompt.exchange.path, question.body, targets)

    def about(self, question: Question) -> int | None:
        """With the first of its targets."""
        targets = self._targets(question)
        return self.costing.about(question.prompt.exchange.path, question.body, targets[0]) if targets else None

    def cost(self, question: Question, answer: Answer, found: Given) -> int | None:
        """By the ledger, by what the gateway says, or by the price of its usage."""
        if self.own:
            return self.costing.of_answer(answer)
        if (told := answer.header("x-gateway-cost")) is not None:
            return parse_usd(told)
        targets = self._targets(question)
        return self.costing.of_usage(targets[0], found.usage) if targets and found.usage.output is not None else None

    def _targets(self, question: Question) -> Sequence[Any]:
        return self.costing.targets(question.prompt.exchange.path, question.model.asked, question.model.target)


def earlier_answers(runs: Runs, run: Run | None = None) -> dict[str, Given]:
    """The answers of earlier comparisons that were whole, by their keys; the newest counts."""
    found: dict[str, Given] = {}
    for summary in reversed(runs.summaries("compare")[:MOST_EARLIER_RUNS]):
        if run is None or summary.id != run.id:
            records = runs.open("compare", summary.id).done().values()
            kept = (Given.of(record) for record in records if "key" in record)
            found |= {each.key: each for each in kept if each.error is None}
    return found


def answers_of(done: Mapping[str, Mapping[str, Any]], kind: str = ANSWER) -> list[Given]:
    """The answers among the finished parts of a run."""
    return [Given.of(record) for record in done.values() if record.get("kind") == kind]


def spent_on(done: Mapping[str, Mapping[str, Any]]) -> int:
    """What a run's own answers took; where a cost is not known, what it was at most."""
    own = [record for record in done.values() if "key" in record and not record["reused"]]
    return sum(record["bound_pico"] or 0 if record["cost_pico"] is None else record["cost_pico"] for record in own)


class Collector:
    """Brings the answers of a run."""

    def __init__(self, run: Run, place: str, earlier: Mapping[str, Given]) -> None:
        """`place`: what tells the place from others in the keys of answers. `earlier`: answers by key."""
        self._run = run
        self._place = place
        self._earlier = earlier

    def left(self, questions: Sequence[Question], kind: str) -> list[Question]:
        """What has to be asked of some questions, after what there is of earlier runs is taken over."""
        whole = {each_id for each_id, record in self._run.done().items() if record.get("error") is None}
        left = []
        for question in questions:
            if question.id in whole:
                continue
            before = self._earlier.get(question.key(self._place))
            if before is None:
                left.append(question)
            else:
                again = replace(before, prompt=question.prompt.id, model=question.model.name, reused=True)
                self._run.add(question.id, again.told(kind))
        return left

    async def collect(
        self, left: Sequence[Question], kind: str, asking: Asking, progress: Progress = lambda *_: None
    ) -> bool:
        """Ask these; False: the ceiling was in the way of some of them."""
        waiting, finished, room = iter(left), 0, True

        async def work() -> None:
            nonlocal finished, room
            for question in waiting:
                found = await asking.answer(question, question.key(self._place)) if room else None
                if found is None:
                    room = False
                    return
                self._run.add(question.id, found.told(kind))
                finished += 1
                progress(finished, len(left))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(asking.pace.at_once, len(left))):
                group.create_task(work())
        return room


class Asking:
    """Puts questions to a place, at a pace, within a ceiling."""

    def __init__(self, ask: Ask, bill: Bill, ceiling: Ceiling, pace: Pace) -> None:
        self.pace = pace
        self._ask = ask
        self._bill = bill
        self._ceiling = ceiling
        self._next_at = 0.0

    async def answer(self, question: Question, key: str) -> Given | None:
        """What came back; None: there is no money for it."""
        bound = self._bill.at_most(question)
        if not await self._ceiling.hold(bound):
            return None
        cost: int | None = None
        try:
            await self._in_turn()
            answer = await self._ask(question)
            found = given(question, key, answer)
            cost = await asyncio.to_thread(self._bill.cost, question, answer, found)
        finally:
            await self._ceiling.settle(bound, cost)
        return replace(found, cost_pico=cost, bound_pico=bound)

    async def _in_turn(self) -> None:
        """Wait for this request's turn, where only so many may begin in a second."""
        if self.pace.rate is None:
            return
        now = asyncio.get_running_loop().time()
        begins = max(self._next_at, now)
        self._next_at = begins + 1 / self.pace.rate
        await asyncio.sleep(begins - now)


def questions_to(asker: Asker) -> Ask:
    """Asks a place."""

    async def ask(question: Question) -> Answer:
        return await asker.ask(question.prompt.exchange.path, question.body, headers=question.headers)

    return ask
