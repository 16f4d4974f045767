"""A check as Markdown: a sentence, a table of the probes, the differences below it."""

from __future__ import annotations

from opsconsole.view.checking.report import CheckReport, Result, line
from opsconsole.view.report.markdown import escaped


def as_markdown(report: CheckReport) -> str:
    beside = f" beside {escaped(report.direct_url)}" if report.direct_url else ""
    lines = [
        f"# Check of {escaped(report.url)}",
        "",
        f"{report.summary}{beside}; asked with {escaped(', '.join(report.clients))}.",
        "",
        "| probe | verdict | ms | direct ms | difference |",
        "| --- | --- | ---: | ---: | --- |",
        *map(_row, report.results),
    ]
    for result in report.results:
        if result.differences:
            told = [line(each, direct=report.direct_url is not None) for each in result.differences]
            lines += [
                "",
                f"## {escaped(result.id)}: {escaped(result.about)}",
                "",
                *(f"- {escaped(each)}" for each in told),
            ]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    times = ["–" if ms is None else f"{ms:g}" for ms in (result.ms, result.direct_ms)]
    return f"| {' | '.join([escaped(result.id), result.verdict.value, *times, escaped(result.remark)])} |"
