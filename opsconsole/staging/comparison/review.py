"""Blind review by a person: two answers side by side, names hidden, the sides drawn by chance.

Decisions are on the disk as they are made; a review can be left and taken up again, and its last decision taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from keyvault.errors import UsageError
from opsconsole.staging.comparison.collecting import answers_of
from opsconsole.staging.comparison.pairing import Pair, pairs
from opsconsole.staging.comparison.plan import Plan
from opsconsole.staging.comparison.prompts import spoken_to
from opsconsole.staging.runs import Run

DECISION: Final = "decision"
"""The kind of a run's record."""
Choice = Literal["left", "right", "equal"]
_VALUES: Final[dict[str, float]] = {"left": 1.0, "equal": 0.0, "right": -1.0}


@dataclass(frozen=True, slots=True)
class Blind:
    """A pair as a person sees it."""

    id: str
    task: str | None
    request: str
    left: str
    right: str
    place: int
    """From 1."""
    of: int


class Review:
    """The review of one run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        plan = Plan.of(run.plan)
        done = run.done()
        found = pairs(plan.prompts, [model.name for model in plan.models], answers_of(done), once=True)
        self._pairs = {decision_id(pair): pair for pair in found if pair.known is None}
        self._decided = [each for each in done if each in self._pairs and done[each].get("value") is not None]

    @property
    def pending(self) -> int:
        return len(self._pairs) - len(self._decided)

    @property
    def decided(self) -> int:
        return len(self._decided)

    def next(self, put_off: Sequence[str] = ()) -> Blind | None:
        """The next pair without a decision, those that were put off after the others; None: everything is decided."""
        waiting = [pair_id for pair_id in self._pairs if pair_id not in self._decided and pair_id not in put_off]
        waiting += [pair_id for pair_id in put_off if pair_id not in self._decided]
        if not waiting:
            return None
        return self._blind(waiting[0], self._pairs[waiting[0]], list(self._pairs).index(waiting[0]) + 1)

    def decide(self, pair_id: str, choice: Choice) -> None:
        """Put a decision on record. Raises `UsageError` for a pair that is not of this review, or no choice."""
        pair = self._pairs.get(pair_id)
        if pair is None or choice not in _VALUES:
            raise UsageError("not a pair of this review, or not a choice", hint="left, right or equal")
        value = -_VALUES[choice] if pair.swapped(self._run.id) else _VALUES[choice]
        self._record(pair_id, value + 0.0)
        if pair_id not in self._decided:
            self._decided.append(pair_id)

    def undo(self) -> bool:
        """Take the last decision back; False where there is none."""
        if not self._decided:
            return False
        self._record(self._decided.pop(), None)
        return True

    def close(self) -> None:
        """Let others go on with the run."""
        self._run.release()

    def _record(self, pair_id: str, value: float | None) -> None:
        self._run.add(pair_id, {"kind": DECISION, "value": value})

    def _blind(self, pair_id: str, pair: Pair, place: int) -> Blind:
        sides = (pair.second, pair.first) if pair.swapped(self._run.id) else (pair.first, pair.second)
        left, right = (each.shown for each in sides)
        return Blind(pair_id, pair.prompt.task, spoken_to(pair.prompt.exchange), left, right, place, len(self._pairs))


def decision_id(pair: Pair) -> str:
    return f"review {pair.id}"


def reviewed(found: list[Pair], done: dict[str, dict[str, Any]]) -> list[tuple[Pair, float]]:
    """The pairs that a person decided, and, once there is one, those that nobody has to look at."""
    by_hand = [
        (pair, float(record["value"]))
        for pair in found
        if (record := done.get(decision_id(pair))) and record["value"] is not None
    ]
    return by_hand + [(pair, pair.known) for pair in found if pair.known is not None] if by_hand else []
