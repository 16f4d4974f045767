"""`gwctl rollouts start`: begins, and says what the guards could find with the traffic there is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.names import exact_duration, parse_duration
from keyvault.domain.rollouts import USUAL_EVERY_S, USUAL_GUARDS, Plan, guards_of, parse_by, parse_percent, parse_steps
from keyvault.domain.routes import parse_target
from keyvault.errors import UsageError
from keyvault.routing.telling import amount
from opsconsole.cli.commands.rollouts.noun import Alias, described, exact, rollouts, row
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.routing.foresight import Detectable, Foreseen
    from keyvault.routing.rollouts import Started

To = Annotated[str, typer.Option("--to", metavar="UPSTREAM/MODEL", help="The new target.")]
Percent = Annotated[str | None, typer.Option("--percent", metavar="SHARE", help="One step with this share.")]
Steps = Annotated[str | None, typer.Option("--steps", metavar="SHARES", help="Several, such as 5,25,50,100.")]
Every = Annotated[
    str | None,
    typer.Option("--every", metavar="TIME", help="How long a step is; with it the next one begins by itself."),
]
Guards = Annotated[
    list[str] | None,
    typer.Option("--guard", metavar="GUARD", help=f"Such as '{USUAL_GUARDS[0]}'; may be given more than once."),
]
By = Annotated[str, typer.Option("--by", metavar="UNIT", help="What is drawn: request, key, customer or header:NAME.")]
Alpha = Annotated[
    float, typer.Option("--alpha", metavar="RATE", help="How often a target that is well may be taken out at the most.")
]
Looks = Annotated[int, typer.Option("--looks", metavar="COUNT", help="How often the guards look at each step.")]
Least = Annotated[
    int, typer.Option("--least", metavar="COUNT", help="Requests of both arms without which no step is passed.")
]

_FORESEEN = [
    Column("percent", "%"),
    Column("lasts"),
    Column("requests"),
    Column("guard"),
    Column("now"),
    Column("found_from", "FOUND FROM", absent="nothing"),
]


@rollouts.verb(
    "start",
    changes=True,
    examples="""
    gwctl rollouts start fast --to groq/llama-3.3-70b --percent 5
    gwctl rollouts start fast --to groq/llama-3.3-70b --steps 5,25,50,100 --every 1h
    gwctl rollouts start fast --to groq/llama-3.3-70b --percent 5 --by customer --guard 'error_rate < +1%'
    gwctl rollouts start fast --to groq/llama-3.3-70b --percent 5 --guard 'p95 < 1.3x' --guard 'cost_per_request < 2x'
    """,
)
def start(
    session: Session,
    alias: Alias,
    to: To,
    percent: Percent = None,
    steps: Steps = None,
    every: Every = None,
    guard: Guards = None,
    by: By = "request",
    alpha: Alpha = 0.05,
    looks: Looks = 6,
    least: Least = 50,
) -> None:
    """Send a share of an alias's requests to a new target, watched by guards.

    What the guards compare with are the alias's other requests at the same time. A guard is error_rate, left_rate, p50,
    p90, p95, p99, first_content_p95 or cost_per_request, and a bound: +1% or 1.3x of the others, or one of its own.
    Without any: error_rate < +1% and p95 < 1.5x.
    """
    if percent is not None and steps is not None:
        raise UsageError("--percent and --steps ask for two things", hint="--steps 5,25,50,100")
    unit, header = parse_by(by)
    plan = Plan(
        steps=parse_steps(steps) if steps is not None else (parse_percent(percent or "5"),),
        every_s=USUAL_EVERY_S if every is None else int(parse_duration(every).total_seconds()),
        automatic=every is not None,
        by=unit,
        header=header,
        guards=guards_of(guard or USUAL_GUARDS),
        alpha=alpha,
        looks=looks,
        least=least,
    )
    started = session.home.rollouts.start(alias, parse_target(to, as_named=True), plan)
    rollout = started.rollout
    session.changed(
        f"{rollout.target} takes {rollout.share_ppm / 10_000:g} % of {alias}; gwctl rollouts status {alias}"
    )
    _show(session, started)


def _show(session: Session, started: Started) -> None:
    readable = session.options.format is Format.TABLE
    rollout, recent = started.rollout, started.recent
    if readable and not recent.requests:
        session.io.note(f"no request asked for {rollout.alias} in the last day: what the guards will find is not known")
    found = [
        _foreseen(step, each, rollout.plan, readable=readable) for step in started.foreseen for each in step.detectable
    ]
    listing = Listing("foreseen", found, _FORESEEN, key="guard")
    if readable:
        session.show(Details(described(rollout), key="alias", inner=[listing] if recent.requests else []))
    else:
        session.show(Details({**row(rollout), "requests_last_day": recent.requests}, key="alias", inner=[listing]))


def _foreseen(step: Foreseen, found: Detectable, plan: Plan, *, readable: bool) -> Row:
    """What a guard finds at a step, in four of five cases at its last look."""
    guard, values = found.guard, {"now": found.now, "found_from": found.least}
    show = amount if readable else exact
    told = {name: None if value is None else show(guard, value) for name, value in values.items()}
    return {
        "percent": step.share_ppm / 10_000,
        "lasts": exact_duration(timedelta(seconds=plan.every_s)),
        "requests": round(step.arm),
        "baseline_requests": round(step.baseline),
        "enough_after_seconds": step.enough_after_s,
        "guard": guard.text,
        **told,
    }
