"""`python -m tests.faults.rollouts`: how often the guards of a rollout alarm, and how soon a bad target is out.

Traffic is drawn, not sent; everything that decides is the proxy's own: when looks are due, what they test, how sure
they must be, and when the next step begins. Each line tells how many of the rounds ended with the target taken out, and
for those after how long and how many of the target's requests, in the middle and in the slowest of ten.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from keyvault.clock import EPOCH, Clock, from_ms, to_ms
from keyvault.domain.arms import Arm, Tally, added
from keyvault.domain.rollouts import Plan, Rollout, State, Verdict, guards_of
from keyvault.domain.routes import Target
from keyvault.routing import schedule
from keyvault.routing.looking import look_at

GUARDS = ("error_rate < +1%", "p95 < 1.3x", "cost_per_request < 2x")
PLAN = Plan(
    steps=(50_000, 250_000, 500_000, 1_000_000), every_s=3600, automatic=True, guards=guards_of(GUARDS), alpha=0.05
)
LONGEST_PERIODS = 6
"""A step that is not passed by then is given up."""


@dataclass(frozen=True)
class Behaviour:
    """How a target is: times and costs are lognormal."""

    errors: float = 0.01
    median_ms: float = 800.0
    spread: float = 0.6
    dollars: float = 0.002
    dear: float = 1.0


WELL = Behaviour()
TARGETS = {
    "healthy: the same": WELL,
    "healthy: at every bound": replace(WELL, errors=0.02, median_ms=800 * 1.3, dollars=0.004),
    "healthy: better": replace(WELL, errors=0.005, median_ms=600, dollars=0.001),
    "errors +3 points": replace(WELL, errors=0.04),
    "errors +10 points": replace(WELL, errors=0.11),
    "all requests fail": replace(WELL, errors=1.0),
    "times doubled": replace(WELL, median_ms=1600),
    "only the tail slower": replace(WELL, spread=1.1),
    "cost tripled": replace(WELL, dollars=0.006),
}


@dataclass(frozen=True)
class Ending:
    """How a simulated rollout ended."""

    taken_out: bool
    step: int
    seconds: float
    requests: int
    """Of the target, over all steps."""


class At(Clock):
    """A clock that stands."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        return self._ms


@dataclass(frozen=True)
class Slice:
    """What came between two moments."""

    since_ms: int
    arms: tuple[Arm, Arm]


@dataclass(frozen=True)
class Customer:
    """One of those who ask, where whole customers are drawn: each in a way of its own."""

    place: int
    weight: float
    """Of all requests, whose these are."""
    errors: float
    slower: float
    dearer: float
    """By what factor, beside the usual."""

    def at(self, target: Behaviour) -> Behaviour:
        errors = min(1.0, target.errors * self.errors)
        return replace(
            target, errors=errors, median_ms=target.median_ms * self.slower, dollars=target.dollars * self.dearer
        )


def customers(count: int, rng: np.random.Generator) -> list[Customer]:
    weights = rng.lognormal(0, 1, count)
    return [
        Customer(int(rng.integers(1 << 63)) * 2, weight, *factors)
        for weight, factors in zip(
            weights / weights.sum(),
            zip(rng.gamma(1.0, 1.0, count), rng.lognormal(0, 0.3, count), rng.lognormal(0, 0.5, count), strict=True),
            strict=True,
        )
    ]


def simulate(
    plan: Plan, target: Behaviour, rng: np.random.Generator, per_second: float = 1.0, among: int = 0
) -> Ending:
    """One rollout, from its start until the target is out, the last step begins, or nothing happens any more. `among`:
    how many customers there are, where they are what is drawn."""
    known = customers(among, rng)
    start = to_ms(EPOCH + timedelta(days=20_000))
    rollout = Rollout(1, "fast", Target("new", "m"), State.RUNNING, plan, "salt", 0, from_ms(start), from_ms(start))
    made: set[tuple[int, int]] = set()
    requests, now = 0, start
    while schedule.watched(plan, rollout.step):
        slices: list[Slice] = []
        for moment in _moments(rollout, now, per_second, rng):
            slices.append(Slice(now, _arrived(rollout, target, (moment - now) / 1000 * per_second, rng, known)))
            now = moment
            ended = sum(each.arms[1].tally.requests for each in slices)
            found = schedule.due(rollout, made, now, lambda ended=ended: ended)  # type: ignore[misc]
            if found is None:
                continue
            made.add((rollout.step, found.index))
            seen = [each.arms for each in slices if each.since_ms >= found.since_ms]
            baseline, arm = (_together([each[at] for each in seen]) for at in (0, 1))
            look = look_at(rollout, found, baseline, arm, At(now))
            if look.verdict is Verdict.BREACHED:
                requests += sum(each.arms[1].tally.requests for each in slices)
                return Ending(True, rollout.step, (now - start) / 1000, requests)
            if found.closing and look.verdict is Verdict.HOLDS:
                break
        else:
            return Ending(False, rollout.step, (now - start) / 1000, requests)
        requests += sum(each.arms[1].tally.requests for each in slices)
        if rollout.last_step:
            break
        rollout = replace(rollout, step=rollout.step + 1, step_started_at=from_ms(now))
    return Ending(False, rollout.step, (now - start) / 1000, requests)


def _moments(rollout: Rollout, now: int, per_second: float, rng: np.random.Generator) -> Iterator[int]:
    """When somebody looks: as soon as there are a few requests, and whenever a look is due by its time."""
    share, plan = rollout.share_ppm / 1e6, rollout.plan
    early = now + int(rng.gamma(schedule.EARLY_REQUESTS) / (share * per_second) * 1000) + 1
    index, at = 0, now
    while index < plan.looks + LONGEST_PERIODS:
        index += 1
        following = now + schedule.after_ms(plan, index)
        if at < early < following and index == 1:
            yield early
        at = following
        yield at


def _arrived(
    rollout: Rollout, target: Behaviour, expected: float, rng: np.random.Generator, known: Sequence[Customer]
) -> tuple[Arm, Arm]:
    if known:
        return _of_customers(rollout, target, expected, rng, known)
    share = rollout.share_ppm / 1e6
    baseline, arm = rng.poisson(expected * (1 - share)), rng.poisson(expected * share)
    return Arm(_drawn(WELL, baseline, rng)), Arm(_drawn(target, arm, rng))


def _of_customers(
    rollout: Rollout, target: Behaviour, expected: float, rng: np.random.Generator, known: Sequence[Customer]
) -> tuple[Arm, Arm]:
    arms: tuple[list[Tally], list[Tally]] = ([], [])
    for each in known:
        taken = rollout.takes(each.place)
        count = rng.poisson(expected * each.weight)
        arms[taken].append(_drawn(each.at(target if taken else WELL), count, rng))
    baseline, arm = (Arm(added(found), tuple(found)) for found in arms)
    return baseline, arm


def _together(slices: Sequence[Arm]) -> Arm:
    """What came in several slices of time; units stay in their order."""
    units = tuple(added(found) for found in zip(*(each.units for each in slices), strict=True))
    return Arm(added(each.tally for each in slices), tuple(unit for unit in units if unit.requests))


def _drawn(of: Behaviour, count: int, rng: np.random.Generator) -> Tally:
    failed = int(rng.binomial(count, of.errors))
    served = count - failed
    times, found = np.unique((of.median_ms * rng.lognormal(0, of.spread, served)).astype(int), return_counts=True)
    dollars = of.dollars * rng.lognormal(-(of.dear**2) / 2, of.dear, served)
    return Tally(
        served=served,
        failed=failed,
        total_ms=dict(zip(times.tolist(), found.tolist(), strict=True)),
        costs=served,
        cost=float(dollars.sum()),
        cost_squares=float((dollars * dollars).sum()),
    )


@dataclass(frozen=True)
class Summary:
    """Many rounds against one target."""

    name: str
    rounds: int
    taken_out: int
    finished: int
    median_s: float | None
    slow_s: float | None
    """Nine of ten were out by then."""
    median_requests: float | None


def rounds(
    name: str, plan: Plan, target: Behaviour, count: int, seed: int, per_second: float = 1.0, among: int = 0
) -> Summary:
    endings = [simulate(plan, target, np.random.default_rng((seed, at)), per_second, among) for at in range(count)]
    out = [each for each in endings if each.taken_out]
    last = sum(not each.taken_out and each.step == len(plan.steps) - 1 for each in endings)
    return Summary(
        name,
        count,
        len(out),
        last,
        _quantile([each.seconds for each in out], 0.5),
        _quantile([each.seconds for each in out], 0.9),
        _quantile([each.requests for each in out], 0.5),
    )


def _quantile(values: Sequence[float], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rollouts", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-second", type=float, default=1.0, help="requests of the alias")
    parser.add_argument("--alpha", type=float, default=PLAN.alpha)
    parser.add_argument("--customers", type=int, default=0, help="draw by customer, among so many unlike ones")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    plan = replace(PLAN, alpha=arguments.alpha)
    guards = ", ".join(guard.text for guard in plan.guards)
    steps = ",".join(f"{step / 10_000:g}" for step in plan.steps)
    if not arguments.json:
        print(f"{guards}; steps {steps} every {plan.every_s} s, {plan.looks} looks each; {arguments.per_second:g}/s")
        drawn = f"by customer, of {arguments.customers}" if arguments.customers else "by request"
        print(f"drawn {drawn}; stated rate of false alarms: {plan.alpha:.1%}\n")
        print(f"{'target':26}{'taken out':>12}{'finished':>10}{'median':>10}{'9 of 10':>10}{'its requests':>14}")
    for name, target in TARGETS.items():
        found = rounds(name, plan, target, arguments.rounds, arguments.seed, arguments.per_second, arguments.customers)
        if arguments.json:
            print(json.dumps(found.__dict__))
            continue
        times = [f"{each / 60:.1f} min" if each is not None else "–" for each in (found.median_s, found.slow_s)]
        requests = "–" if found.median_requests is None else f"{found.median_requests:.0f}"
        share = f"{found.taken_out / found.rounds:.1%}"
        print(f"{name:26}{share:>12}{found.finished / found.rounds:>10.1%}{times[0]:>10}{times[1]:>10}{requests:>14}")


if __name__ == "__main__":
    main()
