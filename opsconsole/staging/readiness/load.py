"""A few clients that ask without a pause while one thing after the other changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opsconsole.staging.asking import Answer, Asker, Place

CLIENTS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is done under load. `do` returns when it holds, with the seconds that took."""

    name: str
    do: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Phase:
    """One change: what was asked while it was made, and from when on it held until the next one began."""

    name: str
    seconds: float
    meanwhile: tuple[Answer, ...]
    answers: tuple[Answer, ...]

    @property
    def asked(self) -> tuple[Answer, ...]:
        return self.meanwhile + self.answers

    def served_by(self, target: str) -> int:
        """Since it held."""
        return sum(answer.header("x-gateway-target") == target for answer in self.answers)


async def under_load(
    place: Place,
    path: str,
    body: bytes,
    changes: Sequence[Change],
    each: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Phase]:
    """Make the changes, with at least so many answers before the first and after each of them. What was before the
    first one is a phase too."""
    came, over = asyncio.Condition(), False
    took = [0.0]
    moment = 0  # even: after so many changes twice; odd: one is being made
    answers: list[list[Answer]] = [[]]

    async def client(asker: Asker) -> None:
        while not over:
            asked_at = answers[moment]
            answer = await asker.ask(path, body)
            async with came:
                asked_at.append(answer)
                came.notify_all()

    async def enough() -> None:
        async with came:
            await came.wait_for(lambda: len(answers[moment]) >= each)

    async with Asker(place) as asker, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(asker))
        await enough()
        for number, change in enumerate(changes):
            progress(number, len(changes))
            answers += [[], []]
            moment += 1
            took.append(await asyncio.to_thread(change.do))
            moment += 1
            await enough()
        over = True
        progress(len(changes), len(changes))
    names = ["before", *(change.name for change in changes)]
    between = [[], *answers[1::2]]
    return [Phase(name, took[at], tuple(between[at]), tuple(answers[2 * at])) for at, name in enumerate(names)]
