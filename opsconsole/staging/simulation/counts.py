"""The simulator's own exact count of what it saw: the other side of every comparison with the ledger.

One `Seen` per request, in the order of arrival. A request is `completed` once the last byte of a good answer was handed
to the socket; whether the client read it is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """How a request went, as the simulator knows it."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    """An error answer or an error event."""
    CUT = "cut"
    """The simulator closed the connection before the end."""
    CANCELLED = "cancelled"
    """The client left before the end."""


@dataclass(slots=True)
class Seen:
    """One request. Tokens are those of the whole input and of the output sent so far."""

    path: str
    model: str
    client_request_id: str | None
    stream: bool = False
    behaviour: str = ""
    status: int | None = None
    ending: Ending = Ending.RUNNING
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    tells_usage: bool = True


@dataclass(slots=True)
class Sum:
    """Counts of one model; tokens of completed requests only, those of the others apart."""

    requests: int = 0
    completed: int = 0
    failed: int = 0
    cut: int = 0
    cancelled: int = 0
    running: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    unfinished_output_tokens: int = 0

    def add(self, seen: Seen) -> None:
        self.requests += 1
        name = seen.ending.value
        setattr(self, name, getattr(self, name) + 1)
        if seen.ending is Ending.COMPLETED:
            self.input_tokens += seen.input_tokens
            self.cached_tokens += seen.cached_tokens
            self.output_tokens += seen.output_tokens
        else:
            self.unfinished_output_tokens += seen.output_tokens


class Counts:
    """What one simulator saw. Other threads may read it."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []

    def begin(self, seen: Seen) -> Seen:
        self._seen.append(seen)
        return seen

    @property
    def requests(self) -> list[Seen]:
        """Every request so far, oldest first."""
        return list(self._seen)

    def by_model(self) -> dict[str, Sum]:
        return sums(self.requests)

    def to_json(self) -> dict[str, Any]:
        seen = self.requests
        return {
            "requests": len(seen),
            "models": {model: asdict(total) for model, total in sums(seen).items()},
            "seen": [asdict(one) for one in seen],
        }


def sums(requests: Iterable[Seen]) -> dict[str, Sum]:
    """Sums per model name as it was sent."""
    totals: dict[str, Sum] = {}
    for seen in requests:
        totals.setdefault(seen.model, Sum()).add(seen)
    return totals
