"""What the Routes view knows at one moment, and its history of revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keyvault.domain.differences import Change
from keyvault.domain.rollouts import Rollout
from keyvault.domain.routes import Choice, Revision, Route
from opsconsole.view.snapshot import Question, Snapshot, TargetTraffic
from opsconsole.view.staging.snapshot import NO_NAMES, Names


@dataclass(frozen=True, slots=True)
class RoutesQuestion(Question):
    """What the Routes view wants to know."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the workers' circuit breakers say of a target."""

    state: str
    """`closed`, `open`, `half-open`, `cooling`."""
    why: str | None = None
    until: datetime | None = None


WELL = Condition("closed")


@dataclass(frozen=True, slots=True)
class Leg:
    """One line: a target of a route."""

    route: Route
    choice: Choice
    order: int
    """Place among the fallbacks, from 1; 0: a primary one."""
    share: float | None
    """Of the route's traffic while all are well; None for a fallback."""
    condition: Condition = WELL
    traffic: TargetTraffic | None = None
    """What the target did in the last minutes, for whatever route; None: nothing."""

    @property
    def key(self) -> tuple[str, ...]:
        return self.route.alias, str(self.choice.target), str(self.order and "fallback")


@dataclass(frozen=True, slots=True)
class RoutesSnapshot(Snapshot):
    """The answer to a `RoutesQuestion`."""

    question: RoutesQuestion
    revision: Revision | None = None
    """What runs now."""
    legs: tuple[Leg, ...] = ()
    default_upstream: str | None = None
    """What serves where there is no route at all."""
    rollouts: tuple[Rollout, ...] = ()
    """Those that run or are paused."""
    names: Names = NO_NAMES

    def rollout(self, alias: str) -> Rollout | None:
        """The one that a route has now."""
        return next((each for each in self.rollouts if each.alias == alias), None)


@dataclass(frozen=True, slots=True)
class RevisionsQuestion(Question):
    """What the history of routes wants to know."""


@dataclass(frozen=True, slots=True)
class Step:
    """One revision and what it changed of the one before."""

    revision: Revision
    changes: tuple[Change, ...]
    current: bool


@dataclass(frozen=True, slots=True)
class RevisionsSnapshot(Snapshot):
    """The answer to a `RevisionsQuestion`: the newest first."""

    question: RevisionsQuestion
    steps: tuple[Step, ...] = ()
    more: bool = False


def legs(route: Route) -> tuple[tuple[Choice, int, float | None], ...]:
    """Each choice of a route with its place and its share of the traffic."""
    total = sum(choice.weight for choice in route.primary)
    return (
        *((choice, 0, choice.weight / total if total else None) for choice in route.primary),
        *((choice, at, None) for at, choice in enumerate(route.fallbacks, 1)),
    )
