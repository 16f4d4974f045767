"""`gwctl drill`: something breaks on purpose, for one key, and what came of it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from keyvault.domain.drills import FAULTS, Fault, parse_fault
from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import parse_duration
from keyvault.domain.routes import parse_target
from keyvault.errors import CheckFailed, NotFound, UsageError
from keyvault.money import CURRENCY
from opsconsole.cli.completion import names_in, names_of
from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.places import runs
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from keyvault.domain.drills import Drill
    from opsconsole.staging.drilling import Drilled
    from opsconsole.staging.runs import Run

drill = Noun(
    "drill",
    "Break one target for one key, and see that others serve and nothing is charged twice.",
    examples="""
    gwctl drill fast --fault 500
    gwctl drill fast --quota
    gwctl drill start --key staging-app --target openai/gpt-5-mini --fault hang --for 10m
    """,
    group=with_usual_verb("run"),
)
app = drill

_FAULT_HELP = "; ".join(f"{fault}: {words}" for fault, words in FAULTS.items())
FaultOption = Annotated[
    str, typer.Option("--fault", metavar="FAULT", help=_FAULT_HELP + ".", autocompletion=names_in(tuple(Fault)))
]
Lasts = Annotated[str, typer.Option("--for", metavar="TIME", help="It ends by itself after this, at most 1h.")]
_CHECKS = (Column("check"), Column("held"), Column("evidence"))
_TRIED = (
    Column("number", "#"),
    Column("stream"),
    Column("status"),
    Column("served_by"),
    Column("attempts"),
    Column("charge"),
    Column("total_ms"),
    Column("saw"),
)
_DRILLS = (
    Column("id"),
    Column("key"),
    Column("target"),
    Column("fault"),
    Column("state"),
    Column("created_at", "BEGAN"),
    Column("until"),
)


@drill.verb(
    "run",
    examples="""
    gwctl drill run fast --fault 500
    gwctl drill fast --fault cut --target openai/gpt-5-mini --requests 6 --dialect responses
    gwctl drill fast --quota --json
    """,
)
def run(
    session: Session,
    alias: Annotated[
        str, typer.Argument(metavar="ALIAS", help="What clients ask for.", autocompletion=names_of("aliases"))
    ],
    fault: FaultOption = "500",
    target: Annotated[
        str | None, typer.Option("--target", metavar="UPSTREAM/MODEL", help="Which fails; else the first to serve.")
    ] = None,
    requests: Annotated[
        int, typer.Option("--requests", metavar="COUNT", min=1, max=200, help="Every second one is a stream.")
    ] = 10,
    lasts: Lasts = "60s",
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="NAME", help="chat, responses or messages.")
    ] = Dialect.CHAT.value,
    quota: Annotated[
        bool, typer.Option("--quota", help="Let a rate limit, a budget and a balance run out instead.")
    ] = False,
) -> None:
    """Have a target fail for a key made for it, send requests, and tell who served, what clients saw, what was charged.

    Nobody else's traffic is touched, no breaker opens. The requests that are served are real and cost a little. Exits
    with 7 where a promise did not hold. The drill ends by itself, also where this command is killed.
    """
    from opsconsole.staging.drilling import FailingPlan, QuotaPlan, exhaust, fail

    if dialect not in set(Dialect):
        raise UsageError(f"not a dialect: {dialect[:40]!a}", hint="chat, responses or messages")
    progress = session.io.progress("drilling")
    if quota:
        drilled = exhaust(session.home, QuotaPlan(alias, Dialect(dialect)), progress)
    else:
        plan = FailingPlan(
            alias,
            parse_fault(fault),
            None if target is None else parse_target(target),
            requests,
            parse_duration(lasts),
            Dialect(dialect),
        )
        drilled = fail(session.home, plan, progress)
    work = runs(session).begin("drill", drilled.title, {"alias": alias, "fault": None if quota else fault})
    work.finish(drilled.to_json(), "passed" if drilled.passed else "failed")
    _show(session, work.id, drilled)
    if not drilled.passed:
        broken = ", ".join(check.name for check in drilled.checks if not check.held)
        raise CheckFailed(f"the drill did not hold: {broken}", hint="gwctl usage tail, gwctl routes show " + alias[:70])


@drill.verb("show", examples="gwctl drill show\ngwctl drill show 3\ngwctl drill show 7k3f9q --json")
def show(
    session: Session,
    run_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="What the drill printed, or the end of it, or its number; else the last."),
    ] = None,
) -> None:
    """What a drill found."""
    import msgspec

    from opsconsole.staging.drilling import Drilled

    work = _kept(session, run_id)
    if work is None or work.report is None:
        raise NotFound("no drill was run here", hint="gwctl drill ALIAS --fault 500")
    _show(session, work.id, msgspec.convert(work.report, Drilled))


def _kept(session: Session, run_id: str | None) -> Run | None:
    """What was kept of a drill; None: of the newest. Raises `NotFound`, `UsageError`."""
    kept = runs(session)
    if run_id is None:
        return kept.newest("drill")
    numbered = (work for work in kept.each("drill") if str((work.report or {}).get("drill_id")) == run_id)
    return next(numbered, None) or kept.open("drill", run_id)


@drill.verb("start", changes=True, examples="gwctl drill start --key staging-app --target openai/gpt-5 --fault hang")
def start(
    session: Session,
    key: Annotated[
        str, typer.Option("--key", metavar="NAME", help="For whom it fails.", autocompletion=names_of("keys"))
    ],
    target: Annotated[str, typer.Option("--target", metavar="UPSTREAM/MODEL", help="Which fails.")],
    fault: FaultOption,
    lasts: Lasts = "10m",
) -> None:
    """Have a target fail for a key of yours, while you send the requests. Ends by itself."""
    wanted, time = parse_target(target), _lasts(lasts)
    upstream = session.home.upstreams.get(wanted.upstream)
    session.confirm(f"Have {target} fail for key {key} for {lasts}?")
    begun = session.home.drills.start(key, wanted._replace(upstream=upstream.name), parse_fault(fault), time)
    session.changed(f"{begun.target} {FAULTS[begun.fault]} for key {begun.key}, for {lasts}")
    session.show(Details(_row(session, begun), key="id"))


@drill.verb("stop", changes=True, examples="gwctl drill stop 3")
def stop(session: Session, drill_id: Annotated[int, typer.Argument(metavar="ID", help="The drill's number.")]) -> None:
    """End a drill now."""
    ended = session.home.drills.end(drill_id)
    session.changed(f"drill {ended.id} is over")
    session.show(Details(_row(session, ended), key="id"))


@drill.verb("list", examples="gwctl drill list")
def list_(session: Session) -> None:
    """Drills, the newest first."""
    rows = [_row(session, each) for each in session.home.drills.list()]
    session.show(Listing("drills", rows, _DRILLS, key="id"))


def _lasts(text: str) -> timedelta:
    from keyvault.domain.drills import check_lasts

    return check_lasts(parse_duration(text))


def _row(session: Session, each: Drill) -> Row:
    now = session.home.clock.now()
    over = "ended" if each.ended_at is not None else "over"
    return {
        "id": each.id,
        "key": each.key,
        "target": str(each.target),
        "fault": each.fault.value,
        "state": "running" if each.runs_at(now) else over,
        "created_at": each.created_at,
        "until": each.ended_at or each.until,
    }


def _show(session: Session, run_id: str, drilled: Drilled) -> None:
    row: Row = {
        "id": run_id,
        "number": drilled.drill_id,
        "drill": drilled.title,
        "verdict": "passed" if drilled.passed else "failed",
        "currency": CURRENCY,
    }
    omit = {"currency", *(["number"] if drilled.drill_id is None else [])}
    checks: list[Row] = [{"check": each.name, "held": each.held, "evidence": each.evidence} for each in drilled.checks]
    tried: list[Row] = [
        {
            "number": each.number,
            "stream": each.stream,
            "status": each.status,
            "served_by": each.served_by,
            "attempts": " → ".join(f"{made.target} {made.error_code or made.outcome}" for made in each.attempts)
            or None,
            "charge": Amount(sum(made.charge_pico or 0 for made in each.attempts)),
            "total_ms": round(each.total_ms),
            "saw": each.saw,
        }
        for each in drilled.tried
    ]
    inner = [Listing("requests", tried, _TRIED, key="number"), Listing("checks", checks, _CHECKS, key="check")]
    session.show(Details(row, key="id", omit=frozenset(omit), inner=inner))
