"""`gwctl replay list|show|diff|delete`: what replays found, each for itself and two side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keyvault.errors import CheckFailed, NotFound, UsageError
from opsconsole.cli.commands.replay.noun import RunId, Verbose, in_ms, ratio_of, replay, show_report
from opsconsole.cli.output import Column, Details, Listing, Row
from opsconsole.cli.places import runs
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount

if TYPE_CHECKING:
    from opsconsole.staging.replaying import Beside
    from opsconsole.staging.runs import Run

_FIGURES = (Column("figure"), Column("one"), Column("other"), Column("ratio"))


@replay.verb("list", examples="gwctl replay list")
def list_(session: Session) -> None:
    """Replays of this home, the newest first."""
    rows: list[Row] = [
        {
            "id": each.id,
            "source": each.title,
            "began_at": each.began_at,
            "requests": each.items,
            "verdict": each.verdict or "not done",
        }
        for each in runs(session).summaries("replay")
    ]
    columns = (Column("id"), Column("source"), Column("began_at"), Column("requests"), Column("verdict"))
    session.show(Listing("replays", rows, columns, key="id"))


@replay.verb("show", examples="gwctl replay show\ngwctl replay show 7k3f9q --verbose")
def show(
    session: Session,
    run_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="A replay, or the end of its id; the newest if not given.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """What a replay found."""
    from opsconsole.staging.replaying import report_of

    kept = runs(session)
    work = kept.newest("replay") if run_id is None else kept.open("replay", run_id)
    if work is None:
        raise NotFound("nothing was replayed yet", hint="gwctl replay requests.jsonl --dry-run")
    told = work.report or {}
    records = work.done()
    requests = work.plan.get("requests", len(records))
    report = report_of(records, requests, told.get("stopped") if told else "it has not come to its end yet")
    show_report(session, work, report, verbose=verbose)


@replay.verb("diff", examples="gwctl replay diff 7k3f9q 4x8m2p\ngwctl replay diff 7k3f9q 4x8m2p --json")
def diff(session: Session, one: RunId, other: RunId) -> None:
    """Two replays of the same requests side by side, such as through the gateway and without it.

    Exits with 7 where a request breaks in the other that does not in the one.
    """
    from opsconsole.staging.replaying import beside

    first, second = (runs(session).open("replay", each) for each in (one, other))
    found = beside(first.done(), second.done())
    if not found.requests:
        raise UsageError("the two have no request in common", hint="gwctl replay list")
    row = {"one": f"{first.id} {_where(first)}", "other": f"{second.id} {_where(second)}"}
    counts = {"requests": found.requests, "not_in_both": found.apart, "different": len(found.differences)}
    rows: list[Row] = [
        {
            "line": each.line,
            "id": each.item,
            "one": _outcome(each.one),
            "other": _outcome(each.other),
            "breaks_anew": each.breaks_anew,
        }
        for each in found.differences
    ]
    columns = (Column("line"), Column("one"), Column("other"), Column("breaks_anew"))
    inner = [
        Listing("figures", _figures(found), _FIGURES, key="figure"),
        Listing("differences", rows, columns, key="line"),
    ]
    session.show(Details({**row, **counts, "currency": "USD"}, key="one", omit=frozenset({"currency"}), inner=inner))
    if anew := sum(each.breaks_anew for each in found.differences):
        raise CheckFailed(f"{anew} of {found.requests} requests break in {second.id[-8:]} only")


@replay.verb("delete", changes=True, examples="gwctl replay delete 7k3f9q --yes")
def delete(session: Session, run_id: RunId) -> None:
    """Remove what a replay kept. The ledger keeps its requests."""
    work = runs(session).open("replay", run_id)
    session.confirm(f"Delete replay {work.id} of {work.title}?")
    if not session.dry_run:
        work.delete()
    session.changed(f"deleted replay {work.id}")


def _where(work: Run) -> str:
    """Where a replay went."""
    return f"at {work.plan['url']}" if work.plan["url"] else "through the gateway"


def _outcome(record: Mapping[str, Any]) -> str:
    told = "; ".join(each["text"] for each in record["findings"])
    status = str(record["status"] or "no answer")
    return told if told.startswith(status) else f"{status}{': ' if told else ''}{told}"


def _figures(found: Beside) -> list[Row]:
    cost = found.cost_pico
    told: list[Row] = [
        {"figure": "broken", "one": found.broken.before, "other": found.broken.now, "ratio": None},
        {
            "figure": "cost",
            "one": None if cost.before is None else Amount(int(cost.before)),
            "other": None if cost.now is None else Amount(int(cost.now)),
            "ratio": ratio_of(cost),
        },
    ]
    for name, quantiles in (("first content", found.first_content_ms), ("total", found.total_ms)):
        for quantile, each in quantiles.items():
            row = {"figure": f"{name} {quantile}, ms", "one": in_ms(each.before), "other": in_ms(each.now)}
            told.append({**row, "ratio": ratio_of(each)})
    return told
