"""What the kit's runs found, each as a page without a form. Reports come as JSON had them; nothing is trusted to be
there that only some of them have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from keyvault.domain.captures import Capture
from keyvault.domain.drills import FAULTS, Drill
from keyvault.money import format_usd
from opsconsole.view import numbers
from opsconsole.view.checking.report import CheckReport, Verdict
from opsconsole.view.paper import Paper, Table
from opsconsole.view.staging.rows import verdict
from opsconsole.view.staging.snapshot import RunRow
from opsconsole.view.text import UNICODE

Told = Mapping[str, Any]
Facts = tuple[tuple[str, str], ...]
_CHECKED: Final = {
    Verdict.PASSED: UNICODE.check,
    Verdict.DIFFERS: UNICODE.alarm,
    Verdict.SKIPPED: UNICODE.separator,
}


def head(run: RunRow) -> Paper:
    """What every run says, without its report."""
    return Paper(run.kind.capitalize(), _facts(run), (), ())


def check(run: RunRow, report: CheckReport) -> Paper:
    """Every probe, what differs first."""
    order = sorted(report.results, key=lambda result: result.verdict is not Verdict.DIFFERS)
    rows = tuple(
        (
            result.id,
            f"{_CHECKED[result.verdict]} {result.verdict.value}",
            result.remark,
            numbers.fixed(result.ms, 0),
            *((numbers.fixed(result.direct_ms, 0),) if report.direct_url else ()),
        )
        for result in order
    )
    headings = ("probe", "verdict", "what differs", "ms", *(("direct ms",) if report.direct_url else ()))
    facts = (("asked", report.url), *((("beside", report.direct_url),) if report.direct_url else ()))
    more = (("with", ", ".join(report.clients)), ("models", ", ".join(report.models)))
    return Paper(
        title="Check",
        facts=(*_facts(run), *facts, *more),
        tables=(Table("Probes", headings, rows, 3),),
        remarks=(),
        findings=(report.summary,),
    )


def replay(run: RunRow, told: Told) -> Paper:
    """What broke, with examples; times and cost beside what was recorded."""
    kinds = tuple(
        (
            f"{UNICODE.alarm if each['breaks'] else UNICODE.separator} {each['kind']}",
            "; ".join(each["examples"]),
            f"{each['requests']:,}",
        )
        for each in told["kinds"]
    )
    times = tuple(
        (f"{name} {label}", *map(_ms, (pair["now"], pair["before"])), _ratio(pair))
        for name, figures in (("first content", told["first_content_ms"]), ("total", told["total_ms"]))
        for label, pair in figures.items()
    )
    before = told["cost_pico"]["before"]
    facts = (
        ("requests", f"{told['sent']:,} sent of {told['requests']:,}, {told['served']:,} served"),
        ("broken", f"{told['broken']:,}"),
        ("cost", numbers.money(told["spent_pico"], unpriced=told["unknown_costs"])),
        *((("recorded cost", numbers.money(int(before))),) if before is not None else ()),
        *((("stopped", told["stopped"]),) if told.get("stopped") else ()),
    )
    tables = (
        Table("Findings", ("kind", "examples", "requests"), kinds, 2),
        Table("Times, ms", ("figure", "now", "recorded", "ratio"), times, 1),
    )
    return Paper("Replay", (*_facts(run), *facts), tuple(each for each in tables if each.rows), ())


def drill(run: RunRow, told: Told) -> Paper:
    """Whether each promise held and what shows it; then every request."""
    checks = tuple(
        (f"{UNICODE.check if each['held'] else UNICODE.alarm} {each['name']}", each["evidence"])
        for each in told["checks"]
    )
    tried = tuple(
        (
            each["saw"],
            " > ".join(f"{made['target']} ({made['error_code'] or made['outcome']})" for made in each["attempts"]),
            "stream" if each["stream"] else "",
            str(each["number"]),
            "" if each["status"] is None else str(each["status"]),
            f"{each['total_ms']:,.0f}",
            _charge(made["charge_pico"] for made in each["attempts"]),
        )
        for each in told["tried"]
    )
    headings = ("client saw", "attempts", "", "#", "status", "ms", "charged $")
    tables = (Table("Promises", ("promise", "evidence"), checks, 2), Table("Requests", headings, tried, 3))
    return Paper("Drill", _facts(run), tables, ())


def unfinished(run: RunRow, records: Iterable[Told], hint: str) -> Paper:
    """A run that has not come to its end."""
    states = Counter(
        str(record.get("verdict") or record.get("status") or record.get("kind") or "done") for record in records
    )
    rows = tuple((name, f"{count:,}") for name, count in states.most_common())
    tables = (Table("So far", ("part", "items"), rows, 1),) if rows else ()
    return Paper(run.kind.capitalize(), _facts(run), tables, (hint,) if hint else ())


def running_drill(told: Drill, now: datetime) -> Paper:
    left = numbers.duration(told.until - now) if told.runs_at(now) else "over"
    facts = (
        ("for key", told.key),
        ("target", f"{told.target} {FAULTS[told.fault]}"),
        ("began", f"{told.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("left", left),
    )
    return Paper(f"Drill {told.id}", facts, (), ("Nobody else's requests are touched. It ends by itself.",))


def capture(told: Capture, now: datetime) -> Paper:
    plan = told.plan
    over = told.over(now) or told.reason
    facts = (
        ("of", told.of),
        ("sample", f"{told.sample_ppm / 10_000:g} %"),
        ("state", f"ended by {over}" if told.ended or over else f"running, {numbers.duration(told.until - now)} left"),
        ("taken", f"{told.taken:,} of at most {plan.most:,}"),
        ("left out", f"{told.dropped:,} there was no room or no time for"),
        ("size", f"{told.bytes / 1e6:,.1f} MB of at most {plan.max_bytes / 1e6:,.0f} MB"),
        (
            "taken out",
            ", ".join([*plan.redact, *plan.patterns]) or f"{UNICODE.warning} nothing is taken out of what is kept",
        ),
        ("kept until", f"{told.keep_until:%Y-%m-%d %H:%M} UTC"),
    )
    way = f"gwctl captures export {told.id} --out FILE writes it; gwctl replay {told.name} plays it again"
    return Paper(f"Capture {told.id}", facts, (), (way,))


def _facts(run: RunRow) -> Facts:
    ended = f", ended {run.ended_at:%H:%M:%S}" if run.ended_at else ""
    return (
        ("verdict", verdict(run).text),
        ("run", run.id),
        ("what", run.title),
        ("began", f"{run.began_at:%Y-%m-%d %H:%M:%S} UTC{ended}"),
        ("items", f"{run.items:,}"),
    )


def _ms(value: float | None) -> str:
    return numbers.fixed(value, 0)


def _ratio(pair: Told) -> str:
    now, before = pair["now"], pair["before"]
    return f"{now / before:.2f}" if now is not None and before else UNICODE.unknown


def _charge(charges: Iterable[int | None]) -> str:
    known: Sequence[int] = [each for each in charges if each]
    return format_usd(sum(known)) if known else "0"
