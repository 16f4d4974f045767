"""`gwctl replay run`: the requests are sent, now or on."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyvault.domain.names import counted
from keyvault.errors import CheckFailed, UsageError
from opsconsole.cli.commands.replay.noun import Verbose, replay, show_report
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.places import Concurrency, KeyFile, KeyStdin, MaxCost, Url, asked_place, most_cost, runs
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount

if TYPE_CHECKING:
    from opsconsole.staging.costing import Costing
    from opsconsole.staging.exchanges import Exchange, Unusable
    from opsconsole.staging.replaying import Report
    from opsconsole.staging.runs import Run


@replay.verb(
    "run",
    changes=True,
    examples="""
    gwctl replay run requests.jsonl --dry-run
    gwctl replay requests.jsonl --model smart --concurrency 8 --rate 5
    gwctl replay batch.jsonl --pin groq/llama-3.3-70b --limit 50 --max-cost 0.50usd
    gwctl replay requests.jsonl --url https://api.openai.com/v1 --key-file openai.key --rename fast=gpt-5-mini
    gwctl replay --resume 7k3f9q
    """,
)
def run(
    session: Session,
    source: Annotated[
        str | None, typer.Argument(metavar="FILE|capture:ID", help="Logged requests; - for stdin.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Ask for this model in place of the recorded ones.")
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--rename", metavar="OLD=NEW", help="Ask for NEW where OLD is recorded. May be given more than once."
        ),
    ] = None,
    pin: Annotated[
        str | None, typer.Option("--pin", metavar="UPSTREAM/MODEL", help="Have this target serve, whatever the routes.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="COUNT", min=1, help="The first so many.")] = None,
    concurrency: Concurrency = 4,
    rate: Annotated[float | None, typer.Option("--rate", metavar="COUNT", min=0.001, help="Begun each second.")] = None,
    max_cost: MaxCost = None,
    tolerate: Annotated[
        int | None, typer.Option("--tolerate", metavar="COUNT", min=0, help="How many broken requests still pass.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="ID", help="Go on with a replay that was interrupted.")
    ] = None,
    url: Url = None,
    key_file: KeyFile = None,
    key_stdin: KeyStdin = False,
    verbose: Verbose = False,
) -> None:
    """Send logged requests again and tell which an application would stumble over, and how fast and dear they were.

    Reads `gwctl captures export`, input of OpenAI batches, plain lines of request bodies, LiteLLM's request logs and
    JSON access logs with bodies. Without --url they go through the gateway that runs here, with a temporary key of
    environment `test`; they are real requests and cost real money. Exits with 7 where more break than --tolerate.
    """
    from opsconsole.staging.costing import Costing
    from opsconsole.staging.replaying import Options, Replay
    from opsconsole.staging.sources import STDIN, exchanges_of

    began = _begun(session, source, resume)
    plan = _planned(began, source, limit, model, renamed, pin, url, max_cost, tolerate)
    if plan["source"] == STDIN and key_stdin:
        raise UsageError("stdin cannot be both the requests and the key", hint="--key-file FILE")
    exchanges, unusable = exchanges_of(session.home, plan["source"], plan["limit"])
    costing = Costing(session.home)
    chosen = Options(
        plan["model"], plan["renamed"], _target(costing, plan["pin"]), concurrency, rate, plan["max_cost_pico"]
    )
    player = Replay(exchanges, chosen, costing, own=plan["url"] is None)
    if session.dry_run:
        _estimate(session, exchanges if began is None else player.left(began), unusable, player)
        return
    _tell_unusable(session, unusable)
    with asked_place(session, "replay", plan["url"], key_file, key_stdin) as (place, _):
        work = began or runs(session).begin("replay", plan["source"], {**plan, "requests": len(exchanges)})
        try:
            asyncio.run(player.run(place, work, session.io.progress("replaying")))
        except KeyboardInterrupt:
            session.io.note(f"interrupted; go on with: gwctl replay --resume {work.id[-8:]}")
            raise
        finally:
            work.release()
    report = _finished(work, len(exchanges), player.stopped, plan["tolerate"])
    show_report(session, work, report, verbose=verbose)
    _judge(work, report, plan["tolerate"])


def _begun(session: Session, source: str | None, resume: str | None) -> Run | None:
    """The run that is gone on with; None for a new one."""
    if resume is None and source is None:
        raise UsageError("no file of requests was given", hint="gwctl replay FILE")
    if resume is not None and source is not None:
        raise UsageError("a replay goes on with its own file", hint=f"gwctl replay --resume {resume}")
    return None if resume is None else runs(session).open("replay", resume)


def _target(costing: Costing, pin: str | None) -> Any:
    if pin is None:
        return None
    target = costing.target(pin)
    if target is None:
        raise UsageError(f"not a target: {pin[:70]!a}", hint="write it as UPSTREAM/MODEL; gwctl upstreams list")
    return target


def _pair(text: str) -> tuple[str, str]:
    """`OLD=NEW`. Raises `UsageError`."""
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise UsageError(f"not a pair of names: {text[:40]!a}", hint="write it as --rename fast=gpt-5-mini")
    return old, new


def _planned(
    began: Run | None,
    source: str | None,
    limit: int | None,
    model: str | None,
    renamed: list[str] | None,
    pin: str | None,
    url: str | None,
    max_cost: str | None,
    tolerate: int | None,
) -> dict[str, Any]:
    """What a replay sets out to do. One that is gone on with keeps to it, but for its ceiling and what it tolerates."""
    from opsconsole.staging.asking import Place
    from opsconsole.staging.sources import absolute

    bounds = {"max_cost_pico": most_cost(max_cost), "tolerate": tolerate}
    if began is not None:
        if model or renamed or pin or limit or url:
            hint = f"gwctl replay --resume {began.id[-8:]}"
            raise UsageError("a replay goes on with the requests, models and place it began with", hint=hint)
        return {**began.plan, **{name: bound for name, bound in bounds.items() if bound is not None}}
    if url is not None:
        Place.at(url)
    return {
        "source": absolute(source or ""),
        "model": model,
        "renamed": dict(_pair(each) for each in renamed or ()),
        "pin": pin,
        "limit": limit,
        "url": url,
        **bounds,
        "tolerate": tolerate or 0,
    }


def _tell_unusable(session: Session, unusable: list[Unusable]) -> None:
    if unusable:
        reasons = Counter(each.reason for each in unusable).most_common(3)
        told = "; ".join(f"{reason} ({many})" for reason, many in reasons)
        session.io.note(f"{counted(len(unusable), 'line')} left out, the first is line {unusable[0].line}: {told}")


def _estimate(session: Session, exchanges: list[Exchange], unusable: list[Unusable], player: Any) -> None:
    """What would be sent, and about what it would cost."""
    _tell_unusable(session, unusable)
    costs = [player.expected_pico(exchange) for exchange in exchanges]
    known = [cost for cost in costs if cost is not None]
    before = [each.recorded.cost_pico for each in exchanges if each.recorded and each.recorded.cost_pico is not None]
    targets = Counter(str(player.target_of(exchange) or "nobody") for exchange in exchanges)
    row = {
        "requests": len(exchanges),
        "unusable_lines": len(unusable),
        "expected_cost": Amount(sum(known), at_least=None in costs) if known or not costs else None,
        "unpriced_requests": costs.count(None),
        "recorded_cost": Amount(sum(before)) if before else None,
        "currency": "USD",
    }
    rows: list[Row] = [{"target": target, "requests": many} for target, many in targets.most_common()]
    inner = Listing("targets", rows, (Column("target"), Column("requests")), key="target")
    session.show(Details(row, key="requests", omit=frozenset({"currency"}), inner=[inner]))


def _finished(work: Run, requests: int, stopped: str | None, tolerate: int) -> Report:
    from opsconsole.staging.replaying import report_of

    report = report_of(work.done(), requests, stopped)
    passed = report.stopped is None and report.sent > 0 and report.broken <= tolerate
    work.finish(report.to_json(), "passed" if passed else "failed")
    return report


def _judge(work: Run, report: Report, tolerate: int) -> None:
    """Raises `CheckFailed` where the replay did not pass."""
    if report.stopped is not None:
        left = report.requests - report.sent
        unsent = f"{left} of {counted(report.requests, 'request')} not sent: " if left else ""
        raise CheckFailed(
            f"the replay was stopped: {unsent}{report.stopped}",
            hint=f"gwctl replay --resume {work.id[-8:]}",
        )
    if report.broken > tolerate:
        hint = f"gwctl replay show {work.id[-8:]} --verbose"
        raise CheckFailed(f"{report.broken} of {report.sent} requests break", hint=hint)
