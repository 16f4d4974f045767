"""The noun `rollouts`, its arguments, and how rollouts, arms, guards and looks read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Final

import typer

from keyvault.domain.arms import Arm, quantile
from keyvault.domain.guards import COST, Guard
from keyvault.domain.names import exact_duration
from keyvault.domain.rollouts import Judgement, Look, Rollout
from keyvault.money import CURRENCY
from keyvault.routing.telling import amount, guard_of
from keyvault.statistics.tails import exact_interval
from opsconsole.cli.completion import names_of
from opsconsole.cli.output import Column, Row
from opsconsole.cli.text import Amount
from opsconsole.cli.verbs import Noun

rollouts = Noun(
    "rollouts",
    "A new target takes a small, watched share of an alias's requests, and is taken out if it is worse.",
    examples="""
    gwctl rollouts start fast --to groq/llama-3.3-70b --percent 5
    gwctl rollouts start fast --to groq/llama-3.3-70b --steps 5,25,50,100 --every 1h --guard 'error_rate < +1%'
    gwctl rollouts status fast
    gwctl rollouts rollback fast
    """,
    modules={
        "changing": ("advance", "pause", "resume", "rollback", "finish"),
        "looking": ("list", "status"),
        "starting": ("start",),
    },
)

Alias = Annotated[
    str, typer.Argument(metavar="ALIAS", help="The alias of a route.", autocompletion=names_of("aliases"))
]
Named = Annotated[
    str,
    typer.Argument(metavar="ALIAS|ID", help="The rollout, by its alias or number.", autocompletion=names_of("aliases")),
]

ARMS: Final = [
    Column("arm"),
    Column("requests"),
    Column("errors"),
    Column("error_rate"),
    Column("interval", "95 % INTERVAL"),
    Column("p50_ms", "P50"),
    Column("p95_ms", "P95"),
    Column("first_content_p50_ms", "FIRST"),
    Column("cost_per_request", "COST EACH"),
    Column("elsewhere", "ELSE"),
]
GUARDS: Final = [
    Column("guard"),
    Column("verdict", absent="not looked at yet"),
    Column("target"),
    Column("baseline"),
    Column("allowed"),
]
LOOKS: Final = [
    Column("at"),
    Column("step"),
    Column("look"),
    Column("requests"),
    Column("baseline_requests", "BASELINE"),
    Column("verdict"),
]


def row(rollout: Rollout) -> Row:
    """A rollout for programs."""
    plan = rollout.plan
    return {
        "id": rollout.id,
        "alias": rollout.alias,
        "target": str(rollout.target),
        "state": rollout.state.value,
        "percent": rollout.share_ppm / 10_000,
        "step": rollout.step + 1,
        "steps": [step / 10_000 for step in plan.steps],
        "every_seconds": plan.every_s,
        "automatic": plan.automatic,
        "by": plan.unit,
        "guards": [{"guard": guard.text} for guard in plan.guards],
        "alpha": plan.alpha,
        "looks_per_step": plan.looks,
        "least_requests": plan.least,
        "currency": CURRENCY,
        "step_started_at": rollout.step_started_at,
        "created_at": rollout.created_at,
        "ended_at": rollout.ended_at,
        "reason": rollout.reason,
    }


def described(rollout: Rollout) -> Row:
    """A rollout for people."""
    plan = rollout.plan
    steps = " → ".join(f"{step / 10_000:g} %" for step in plan.steps)
    pace = f", one each {exact_duration(timedelta(seconds=plan.every_s))}" if plan.automatic else ""
    return {
        "rollout": rollout.id,
        "alias": rollout.alias,
        "to": str(rollout.target),
        "state": rollout.state.replace("_", " "),
        "share": f"{rollout.share_ppm / 10_000:g} % of the requests, by {plan.unit}",
        "step": f"{rollout.step + 1} of {len(plan.steps)} ({steps}{pace})",
        "false_alarms": f"at most {plan.alpha * 100:g} % over the whole rollout",
        "since": rollout.created_at,
        **({"ended": rollout.ended_at, "reason": rollout.reason} if rollout.ended_at else {}),
    }


def arm_row(name: str, arm: Arm, *, readable: bool) -> Row:
    tally = arm.tally
    answered = tally.served + tally.failed
    interval = exact_interval(tally.failed, answered) if answered else None
    cost = tally.cost_per_request()
    rate = tally.error_rate()
    found: dict[str, Any] = {
        "arm": name,
        "requests": tally.requests,
        "errors": tally.failed,
        "left": tally.left,
        "error_rate": rate,
        "interval": None if interval is None else [interval.low, interval.high],
        "p50_ms": quantile(tally.total_ms, 0.5),
        "p95_ms": quantile(tally.total_ms, 0.95),
        "first_content_p50_ms": quantile(tally.first_ms, 0.5),
        "cost_per_request": None if cost is None else Amount(round(cost * 1e12)),
        "elsewhere": arm.elsewhere,
    }
    if readable:
        found["error_rate"] = None if rate is None else f"{rate * 100:.2f} %"
        ends = None if interval is None else f"{interval.low * 100:.2f} to {interval.high * 100:.2f} %"
        found["interval"] = ends
    return found


def guard_row(now: Judgement, last: Judgement | None, *, readable: bool) -> Row:
    """A guard with its figures as they are now, and what its last look said."""
    guard = guard_of(now)
    show = (lambda value: amount(guard, value)) if readable else (lambda value: exact(guard, value))
    return {
        "guard": now.guard,
        "verdict": None if last is None else last.verdict.value,
        "target": show(now.arm),
        "baseline": show(now.baseline) if guard.compares else None,
        "allowed": show(now.limit),
        "p": None if last is None else last.p,
        "level": now.level if last is None else last.level,
    }


def look_row(look: Look) -> Row:
    return {
        "at": look.at,
        "step": look.step + 1,
        "look": look.index + 1,
        "requests": look.requests[1],
        "baseline_requests": look.requests[0],
        "verdict": look.verdict.value,
        "guards": [
            {
                "guard": each.guard,
                "verdict": each.verdict.value,
                "target": each.arm,
                "baseline": each.baseline,
                "allowed": each.limit,
                "p": each.p,
                "level": each.level,
            }
            for each in look.judgements
        ],
    }


def last_of(looks: Sequence[Look], rollout: Rollout, guard: str) -> Judgement | None:
    """What the newest look at this step said of a guard."""
    here = (look for look in looks if look.step == rollout.step)
    newest = next(here, None)
    return None if newest is None else next((each for each in newest.judgements if each.guard == guard), None)


def exact(guard: Guard, value: float | None) -> float | Amount | None:
    """A measure for programs: a share, milliseconds, or money."""
    return Amount(round(value * 1e12)) if guard.measure == COST and value is not None else value
