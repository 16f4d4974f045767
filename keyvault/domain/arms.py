"""What came of the requests of one arm of a rollout: counts, times and costs, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from keyvault.domain.guards import Guard


@dataclass(frozen=True, slots=True)
class Tally:
    """First attempts of requests, of one arm or of one of its units."""

    served: int = 0
    failed: int = 0
    left: int = 0
    """The client left before the answer was complete."""
    total_ms: Mapping[int, int] = field(default_factory=dict)
    """How many took how long, of those that were served or left: who leaves has waited so long at least."""
    first_ms: Mapping[int, int] = field(default_factory=dict)
    """The same until the first content, of those that had some."""
    costs: int = 0
    """Served requests whose cost is known."""
    cost: float = 0.0
    """Their sum, in dollars."""
    cost_squares: float = 0.0

    @property
    def requests(self) -> int:
        return self.served + self.failed + self.left

    def times(self, guard: Guard) -> Mapping[int, int]:
        return self.first_ms if guard.first_content else self.total_ms

    def error_rate(self) -> float | None:
        answered = self.served + self.failed
        return self.failed / answered if answered else None

    def cost_per_request(self) -> float | None:
        return self.cost / self.costs if self.costs else None


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of the comparison."""

    tally: Tally = Tally()
    units: tuple[Tally, ...] = ()
    """What makes it up, where whole units were drawn, not single requests."""
    elsewhere: int = 0
    """Requests that were drawn for it and went elsewhere first, since its target was not well. Not in the tally."""


def added(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    served = failed = left = costs = 0
    cost = squares = 0.0
    total: Counter[int] = Counter()
    first: Counter[int] = Counter()
    for tally in tallies:
        served, failed, left = served + tally.served, failed + tally.failed, left + tally.left
        costs, cost, squares = costs + tally.costs, cost + tally.cost, squares + tally.cost_squares
        total.update(tally.total_ms)
        first.update(tally.first_ms)
    return Tally(served, failed, left, total, first, costs, cost, squares)


def at_rank(values: Mapping[int, int], rank: int) -> int:
    """The value that comes at a rank, from 1, of values with their counts."""
    for value in sorted(values):
        rank -= values[value]
        if rank <= 0:
            return value
    raise ValueError("fewer values than that")


def quantile(values: Mapping[int, int], share: float) -> int | None:
    """The value below or at which a share of them lies; None of none."""
    count = sum(values.values())
    return at_rank(values, max(1, -int(-share * count // 1))) if count else None
