"""Pairs of answers to one prompt that somebody has to choose between, a judge or a person.

Two answers that say the same are equal and nobody is asked; one that failed loses to one that did not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from opsconsole.staging.comparison.given import Given
from opsconsole.staging.comparison.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models' answers to a prompt, for the nth time."""

    prompt: Prompt
    first: Given
    second: Given

    @property
    def models(self) -> tuple[str, str]:
        return self.first.model, self.second.model

    @property
    def id(self) -> str:
        """Within its run."""
        return f"{self.prompt.id}\t{self.first.model}\t{self.second.model}\t{self.first.nth}"

    @property
    def known(self) -> float | None:
        """1: the first is better, -1: the second, 0: they are equal; None: somebody has to look."""
        if (self.first.error is None) is not (self.second.error is None):
            return 1.0 if self.first.error is None else -1.0
        return 0.0 if self.first.shown == self.second.shown else None

    def swapped(self, run_id: str) -> bool:
        """Whether the second stands on the left for a person: drawn by chance, and the same each time it is asked."""
        return hashlib.sha256(f"{run_id} {self.id}".encode()).digest()[0] % 2 == 1


def pairs(
    prompts: Sequence[Prompt], models: Sequence[str], answers: Iterable[Given], *, once: bool = False
) -> list[Pair]:
    """Every two answers to each prompt, both of which came to something. `once`: of repeats only the first."""
    found = {(each.prompt, each.model, each.nth): each for each in answers}
    times = 1 if once else 1 + max((nth for _, _, nth in found), default=0)
    return [
        Pair(prompt, one, other)
        for prompt in prompts
        for nth in range(times)
        for first, second in combinations(models, 2)
        if (one := found.get((prompt.id, first, nth))) and (other := found.get((prompt.id, second, nth)))
        if one.error is None or other.error is None
    ]


def preferences(decided: Iterable[tuple[Pair, float]]) -> dict[tuple[str, str], dict[str, float]]:
    """By models and prompt, repeats of a prompt averaged."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for pair, value in decided:
        found.setdefault(pair.models, {}).setdefault(pair.prompt.id, []).append(value)
    return {models: {prompt: sum(each) / len(each) for prompt, each in told.items()} for models, told in found.items()}


def won(models: Sequence[str], told: Mapping[tuple[str, str], Mapping[str, float]]) -> dict[str, tuple[int, int, int]]:
    """Prompts won, equal and lost by each model against all others."""
    counts = {model: [0, 0, 0] for model in models}
    for (first, second), values in told.items():
        for value in values.values():
            counts[first][0 if value > 0 else 1 if value == 0 else 2] += 1
            counts[second][2 if value > 0 else 1 if value == 0 else 0] += 1
    return {model: (each[0], each[1], each[2]) for model, each in counts.items()}
