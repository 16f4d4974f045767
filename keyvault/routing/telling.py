"""Guards, their figures and what they found, in words: for audit entries, alerts and whoever asks."""

from __future__ import annotations

from keyvault.domain.guards import Guard, Kind, parse_guard
from keyvault.domain.rollouts import Judgement, Look, Plan, Verdict


def breach(plan: Plan, look: Look) -> str:
    """`error_rate 12.1 % beside 0.4 %, at most 1.4 % allowed (132 requests, look 3 of step 1)`"""
    told = "; ".join(
        f"{guard_of(each).measure} {figures(each)}" for each in look.judgements if each.verdict is Verdict.BREACHED
    )
    index = f"look {look.index + 1}" if look.index < plan.looks else "a look after its time"
    return f"{told} ({look.requests[1]:,} requests, {index} of step {look.step + 1})"


def figures(judgement: Judgement) -> str:
    guard = guard_of(judgement)
    beside = f" beside {amount(guard, judgement.baseline)}" if guard.compares else ""
    return f"{amount(guard, judgement.arm)}{beside}, at most {amount(guard, judgement.limit)} allowed"


def guard_of(judgement: Judgement) -> Guard:
    return parse_guard(judgement.guard)


def amount(guard: Guard, value: float | None) -> str:
    """A measure as people read it."""
    if value is None:
        return "–"
    if guard.kind is Kind.RATE:
        return f"{value * 100:.2f} %"
    if guard.kind is Kind.TIME:
        return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"
    return f"${value:.4g}"
