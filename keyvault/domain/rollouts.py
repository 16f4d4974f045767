"""Rollouts: a new target for an alias that takes a share of its requests, step by step, watched by guards.

Which requests are the new target's is a draw that a hash decides: of the rollout's salt and of the unit that is drawn
by, such as the request or the key. A unit that is in at 5 % is still in at 25 %.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

from keyvault.domain.guards import Guard, parse_guard
from keyvault.domain.names import shown
from keyvault.domain.routes import Target
from keyvault.errors import UsageError

WHOLE_PPM: Final = 1_000_000
MOST_STEPS: Final = 20
MOST_GUARDS: Final = 10
MOST_LOOKS: Final = 12
USUAL_GUARDS: Final = ("error_rate < +1%", "p95 < 1.5x")
USUAL_EVERY_S: Final = 3600
_SHORTEST_S: Final = 10
_LONGEST_S: Final = 30 * 24 * 3600
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_SPACE: Final = 1 << 64


class State(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    """Nobody new is sent to the target."""
    FINISHED = "finished"
    """The target serves the alias by the routes themselves."""
    ROLLED_BACK = "rolled_back"


class By(StrEnum):
    """What is drawn: all requests of one unit go the same way."""

    REQUEST = "request"
    KEY = "key"
    CUSTOMER = "customer"
    HEADER = "header"


@dataclass(frozen=True, slots=True)
class Plan:
    """What never changes while a rollout lasts."""

    steps: tuple[int, ...] = (50_000,)
    """Shares in millionths, growing."""
    every_s: int = USUAL_EVERY_S
    """How long a step is."""
    automatic: bool = False
    """A step whose guards held is followed by the next one by itself."""
    by: By = By.REQUEST
    header: str = ""
    guards: tuple[Guard, ...] = ()
    alpha: float = 0.05
    """How often, at the most, a target that keeps all bounds is taken out, over the whole rollout."""
    looks: int = 6
    """At each step; one of them as soon as there are a few requests, the others at times that double."""
    least: int = 50
    """Requests of each arm without which a step is not passed."""

    @property
    def unit(self) -> str:
        """As people write it."""
        return f"header:{self.header}" if self.by is By.HEADER else self.by.value


@dataclass(frozen=True, slots=True)
class Rollout:
    """One new target for one alias, which is that of a route: a pattern where the route is for a pattern."""

    id: int
    alias: str
    target: Target
    state: State
    plan: Plan
    salt: str
    step: int
    """From 0."""
    step_started_at: datetime
    created_at: datetime
    ended_at: datetime | None = None
    reason: str | None = None
    """Why it ended."""

    @property
    def live(self) -> bool:
        return self.state in (State.RUNNING, State.PAUSED)

    @property
    def share_ppm(self) -> int:
        """Of the alias's requests, how many go to the target now."""
        return self.plan.steps[self.step] if self.state is State.RUNNING else 0

    @property
    def last_step(self) -> bool:
        return self.step + 1 >= len(self.plan.steps)

    def place(self, unit: str) -> int:
        """Where a unit stands in the draw, from 0 up to 2 ** 64; the same at each step."""
        return int.from_bytes(blake2b(unit.encode(), digest_size=8, key=self.salt.encode()).digest())

    def takes(self, place: int) -> bool:
        """Whether the share of the step reaches a place."""
        return place * WHOLE_PPM < self.share_ppm * _SPACE


class Verdict(StrEnum):
    HOLDS = "holds"
    BREACHED = "breached"
    TOO_LITTLE = "too little data"
    NOTHING_TO_COMPARE = "nothing to compare with"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look says of one guard."""

    guard: str
    verdict: Verdict
    arm: float | None
    baseline: float | None
    limit: float | None
    """What the bound comes to beside the baseline, in the guard's own unit."""
    p: float | None
    """The chance of such data where the target keeps the bound; None: not tested. Only below `level` it is exact."""
    level: float
    """How small that must be for the target to be taken out."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the guards, as it is on record."""

    rollout_id: int
    step: int
    index: int
    """Which of the step's: 0 the early one, then the timed ones, then one for each period after that."""
    at: datetime
    verdict: Verdict
    requests: tuple[int, int]
    """Of the baseline and of the target, as far as they were looked at."""
    judgements: tuple[Judgement, ...]


def parse_steps(text: str) -> tuple[int, ...]:
    """`5,25,50,100` → millionths. Raises `UsageError`."""
    steps = tuple(parse_percent(part) for part in text.split(","))
    if list(steps) != sorted(set(steps)) or len(steps) > MOST_STEPS:
        raise UsageError(f"steps must grow, and be at most {MOST_STEPS}: {shown(text)}", hint="--steps 5,25,50,100")
    return steps


def parse_percent(text: str) -> int:
    """`5`, `0.5` or `5%` → millionths. Raises `UsageError`."""
    match = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,4})?)\s*%?\s*", text)
    ppm = round(float(match[1]) * 10_000) if match else 0
    if not 0 < ppm <= WHOLE_PPM:
        raise UsageError(f"not a percentage from above 0 to 100: {shown(text)}", hint="--percent 5")
    return ppm


def parse_by(text: str) -> tuple[By, str]:
    """`request`, `key`, `customer` or `header:NAME`. Raises `UsageError`."""
    kind, _, name = text.partition(":")
    if kind not in set(By) or (kind == By.HEADER) != bool(_HEADER.match(name)):
        raise UsageError(f"nothing is drawn by {shown(text)}", hint="--by request, key, customer or header:NAME")
    return By(kind), name.lower()


def checked(plan: Plan) -> Plan:
    """The plan, if it makes sense. Raises `UsageError`."""
    if not _SHORTEST_S <= plan.every_s <= _LONGEST_S:
        raise UsageError("a step takes from 10 seconds to 30 days", hint="--every 1h")
    if not 0.000_1 <= plan.alpha <= 0.5:
        raise UsageError("the rate of false alarms is from 0.0001 to 0.5", hint="--alpha 0.05")
    if not 2 <= plan.looks <= MOST_LOOKS:
        raise UsageError(f"a step has from 2 to {MOST_LOOKS} looks", hint="--looks 6")
    if not 1 <= plan.least <= WHOLE_PPM:
        raise UsageError("a step is passed with 1 to 1,000,000 requests", hint="--least 50")
    if not plan.guards or len(plan.guards) > MOST_GUARDS:
        raise UsageError(f"a rollout has from 1 to {MOST_GUARDS} guards", hint="--guard 'error_rate < +1%'")
    if len({guard.text for guard in plan.guards}) < len(plan.guards):
        raise UsageError("a guard is given once", hint="--guard 'error_rate < +1%'")
    if plan.steps[0] == WHOLE_PPM and all(guard.compares for guard in plan.guards):
        hint = "--percent 5, or a guard with a bound of its own such as 'error_rate < 5%'"
        raise UsageError("with 100 % at once there is nothing to compare with", hint=hint)
    return plan


def written(plan: Plan) -> Mapping[str, Any]:
    """A plan as JSON has it."""
    return {
        "steps": list(plan.steps),
        "every_s": plan.every_s,
        "automatic": plan.automatic,
        "by": plan.unit,
        "guards": [guard.text for guard in plan.guards],
        "alpha": plan.alpha,
        "looks": plan.looks,
        "least": plan.least,
    }


def read(stored: Mapping[str, Any]) -> Plan:
    """What `written` wrote."""
    by, header = parse_by(stored["by"])
    return Plan(
        steps=tuple(stored["steps"]),
        every_s=stored["every_s"],
        automatic=stored["automatic"],
        by=by,
        header=header,
        guards=guards_of(stored["guards"]),
        alpha=stored["alpha"],
        looks=stored["looks"],
        least=stored["least"],
    )


def guards_of(texts: Sequence[str]) -> tuple[Guard, ...]:
    """Raises `UsageError`."""
    return tuple(map(parse_guard, texts))
