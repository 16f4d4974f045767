"""The noun `replay`, its arguments, and how a replay reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opsconsole.cli.grammar import with_usual_verb
from opsconsole.cli.output import Column, Details, Format, Listing, Row
from opsconsole.cli.session import Session
from opsconsole.cli.text import Amount
from opsconsole.cli.verbs import Noun

if TYPE_CHECKING:
    from opsconsole.staging.replaying import Report
    from opsconsole.staging.replaying.report import Compared
    from opsconsole.staging.runs import Run

replay = Noun(
    "replay",
    "Real requests of the past once more: what breaks, how fast, what it costs.",
    examples="""
    gwctl replay requests.jsonl --dry-run
    gwctl replay requests.jsonl --max-cost 2usd
    gwctl replay capture:3 --pin anthropic/claude-sonnet-5
    gwctl replay requests.jsonl --url https://api.openai.com/v1 --key-file openai.key
    """,
    group=with_usual_verb("run"),
    modules={
        "looking": ("list", "show", "diff", "delete"),
        "running": ("run",),
    },
)

RunId = Annotated[str, typer.Argument(metavar="ID", help="A replay, or the end of its id.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Every request with a finding, too.")]
_COLUMNS = (Column("kind"), Column("breaks"), Column("requests"), Column("examples"))
_LATENCIES = (Column("figure"), Column("now_ms"), Column("recorded_ms"), Column("ratio"))
_REQUESTS = (Column("line"), Column("model"), Column("target"), Column("status"), Column("total_ms"), Column("finding"))


def show_report(session: Session, work: Run, report: Report, *, verbose: bool) -> None:
    row = {
        "id": work.id,
        "source": work.title,
        "requests": report.requests,
        "sent": report.sent,
        "served": report.served,
        "broken": report.broken,
        "cost": None if report.unknown_costs == report.sent else _amount(report),
        "recorded_cost": None if report.cost_pico.before is None else Amount(int(report.cost_pico.before)),
        "currency": "USD",
        "stopped": report.stopped,
    }
    kinds: list[Row] = [
        {"kind": each.kind, "breaks": each.breaks, "requests": each.requests, "examples": "; ".join(each.examples)}
        for each in report.kinds
    ]
    inner = [
        Listing("latencies", _latencies(report), _LATENCIES, key="figure"),
        Listing("findings", kinds, _COLUMNS, key="kind"),
    ]
    if verbose or session.options.format is Format.JSON:
        inner.append(Listing("found", _found(work), _REQUESTS, key="line"))
    omit = {"currency"} | {name for name in ("stopped", "recorded_cost") if row[name] is None}
    session.show(Details(row, key="id", omit=frozenset(omit), inner=inner))


def _amount(report: Report) -> Amount:
    return Amount(report.spent_pico, at_least=bool(report.unknown_costs))


def _found(work: Run) -> list[Row]:
    """Every request with a finding."""
    return [
        {
            "line": record["line"],
            "id": item,
            "model": record["model"],
            "target": record["target"],
            "request_id": record["request_id"],
            "status": record["status"],
            "total_ms": round(record["total_ms"]),
            "finding": "; ".join(each["text"] for each in record["findings"]),
            "breaks": any(each["breaks"] for each in record["findings"]),
        }
        for item, record in work.done().items()
        if record["findings"]
    ]


def _latencies(report: Report) -> list[Row]:
    """Milliseconds now and as recorded, over the requests of which both are known."""
    figures = [("first content", report.first_content_ms), ("total", report.total_ms)]
    return [
        {
            "figure": f"{name} {quantile}",
            "now_ms": in_ms(each.now),
            "recorded_ms": in_ms(each.before),
            "ratio": ratio_of(each),
            "pairs": each.pairs,
        }
        for name, by_quantile in figures
        for quantile, each in by_quantile.items()
    ]


def in_ms(figure: float | None) -> int | None:
    return None if figure is None else round(figure)


def ratio_of(each: Compared) -> float | None:
    return None if each.ratio is None else round(each.ratio, 2)
