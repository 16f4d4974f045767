"""How targets are, and which of them would serve: nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.endpoints import Dialect
from keyvault.domain.keys import Key, KeyState
from keyvault.errors import CheckFailed, Refusal, UsageError
from opsconsole.cli.commands.routes.noun import Alias, routes
from opsconsole.cli.completion import names_in
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.scopes import Scope
from opsconsole.cli.session import Session

if TYPE_CHECKING:
    from keyvault.routing.planner import Planned, Planner
    from keyvault.routing.reported import Reported

AskedAs = Annotated[
    str,
    typer.Option("--dialect", metavar="NAME", help="How it is asked for.", autocompletion=names_in(tuple(Dialect))),
]
As = Annotated[str | None, typer.Option("--as", metavar="key:NAME", help="Whether this key may.")]


@routes.verb("health", examples="gwctl routes health\ngwctl routes health --json")
def health(session: Session) -> None:
    """Show how each target is, as the workers that run tell it: closed, open, half-open or cooling."""
    from keyvault.routing.reported import reports

    workers = session.home.workers.live()
    rows: list[Row] = [
        {
            "target": report.target,
            "state": report.state.value,
            "since": report.since,
            "until": report.until,
            "failures_in_a_row": report.in_a_row,
            "recent_requests": report.requests,
            "recent_failures": report.failures,
            "why": report.why,
            "worker": report.worker,
        }
        for report in reports(workers, session.home.routes.current().routes)
    ]
    columns = [
        Column("target"),
        Column("state"),
        Column("since", absent=""),
        Column("until", absent=""),
        Column("failures_in_a_row", "IN A ROW"),
        Column("why", absent=""),
    ]
    session.show(Listing("targets", rows, columns, key="target", extra={"workers": len(workers)}))
    if not workers:
        session.io.note("no worker runs, so nobody can tell")


@routes.verb(
    "test",
    examples="""
    gwctl routes test fast
    gwctl routes test gpt-5-nano --dialect responses --as key:ci-bot
    """,
)
def try_(session: Session, alias: Alias, dialect: AskedAs = "chat", asked_as: As = None) -> None:
    """Say which target would serve a model, and why. No request is sent."""
    from keyvault.routing.planner import Planner
    from keyvault.routing.reported import Reported, reports

    home = session.home
    if dialect not in set(Dialect):
        raise UsageError(f"not a dialect: {dialect[:40]!a}", hint=f"one of {', '.join(Dialect)}")
    revision = home.routes.current()
    reported = Reported(reports(home.workers.live()))
    planner = Planner(
        revision.routes,
        home.upstreams.list(),
        home.settings.default_upstream,
        health=reported,
        draw=lambda: 0.5,  # the heaviest first
    )
    reason = None if asked_as is None else _refused(_key(session, asked_as), alias, Dialect(dialect), session)
    plan: tuple[Planned, ...] = ()
    try:
        plan = planner.plan(alias, Dialect(dialect))
    except Refusal as refusal:
        reason = reason or f"{refusal.status} {refusal.error_code}: {refusal.message}"
    route = planner.route_of(alias)
    row = {
        "alias": alias,
        "dialect": dialect,
        "matched": None if route is None else route.alias,
        "revision": revision.number,
        "serves": str(plan[0].target) if plan and reason is None else None,
        "refused": reason,
    }
    columns = [Column(name, absent="") for name in ("order", "target", "rank", "weight", "share", "health", "left_out")]
    inner = Listing("targets", _rows(planner, plan, alias, Dialect(dialect), reported), columns, key="target")
    absent = {"matched": "no route", "refused": "no"}
    if (rollout := next((r for r in home.rollouts.live() if route and r.alias == route.alias), None)) is not None:
        row |= {"rollout": f"{rollout.target} takes {rollout.share_ppm / 10_000:g} %"}
    session.show(Details(row, key="alias", inner=[inner], absent=absent))
    if reason is not None:
        raise CheckFailed(f"nothing would serve {alias[:70]!a}", hint="gwctl routes list")


def _rows(planner: Planner, plan: tuple[Planned, ...], alias: str, dialect: Dialect, reported: Reported) -> list[Row]:
    """The plan in its order, then what it leaves out."""
    drawn = [p for p in plan if p.choice in p.route.primary and reported.available(p.target)]
    total = sum(p.choice.weight for p in drawn if p.choice)
    rows: list[Row] = []
    for order, planned in enumerate(plan, 1):
        choice = planned.choice
        primary = choice is not None and choice in planned.route.primary
        rows.append(
            {
                "order": order,
                "target": str(planned.target),
                "rank": None if choice is None else "primary" if primary else "fallback",
                "weight": choice.weight if choice is not None and primary else None,
                "share": round(choice.weight / total, 4) if choice is not None and planned in drawn else None,
                "health": reported.state(planned.target).value,
                "left_out": None,
            }
        )
    for left in planner.left_out(alias, dialect):
        target = left.choice.target
        told = {"rank": None, "weight": left.choice.weight, "share": None, "health": reported.state(target).value}
        rows.append({"order": None, "target": str(target), **told, "left_out": left.reason})
    return rows


def _key(session: Session, text: str) -> Key:
    scope = Scope.parse(text)
    if scope.kind != "key":
        raise UsageError(f"not a key: {text[:70]!a}", hint="--as key:NAME")
    return session.home.known_keys.get(scope.name)


def _refused(key: Key, alias: str, dialect: Dialect, session: Session) -> str | None:
    """Why this key may not ask for it; None where it may."""
    state = key.state_at(session.home.clock.now())
    if state is not KeyState.ACTIVE:
        return f"401 invalid_api_key: the key is {state.value}"
    if not key.policy.allows_dialect(dialect):
        return f"403 endpoint_not_allowed: the key may not use {dialect}"
    if not key.policy.allows_model(alias):
        return "403 model_not_allowed: the key may not use this model"
    return None
