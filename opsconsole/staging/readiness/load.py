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
    """What was asked after a change and before the next one. Requests under way while it was made are of the one
    before."""

    name: str
    seconds: float
    answers: tuple[Answer, ...]

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.answers if not answer.ok]

    def served_by(self, target: str) -> int:
        return sum(answer.header("x-gateway-target") == target for answer in self.answers)


async def under_load(
    place: Place,
    path: str,
    body: bytes,
    changes: Sequence[Change],
    each: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Phase]:
    """Make the changes, with at least so many answers before the first and after each of them."""
    answers: list[tuple[int, Answer]] = []
    came, phase, over = asyncio.Condition(), 0, False
    took = [0.0]

    async def client(asker: Asker) -> None:
        while not over:
            began = phase
            answer = await asker.ask(path, body)
            async with came:
                answers.append((began, answer))
                came.notify_all()

    async def enough() -> None:
        async with came:
            await came.wait_for(lambda: sum(number == phase for number, _ in answers) >= each)

    async with Asker(place) as asker, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(asker))
        await enough()
        for number, change in enumerate(changes, 1):
            progress(number - 1, len(changes))
            took.append(await asyncio.to_thread(change.do))
            phase = number
            await enough()
        over = True
        progress(len(changes), len(changes))
    names = ["before", *(change.name for change in changes)]
    return [
        Phase(name, took[number], tuple(answer for at, answer in answers if at == number))
        for number, name in enumerate(names)
    ]
