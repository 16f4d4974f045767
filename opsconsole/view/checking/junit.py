"""A check as JUnit XML, as CI servers read it: one test case for each probe."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from opsconsole.view.checking.report import CheckReport, Result, Verdict, line
from opsconsole.view.text import printable


def as_junit(report: CheckReport) -> str:
    seconds = sum(result.ms or 0 for result in report.results) / 1000
    counts = (
        f'tests="{len(report.results)}" failures="{report.count(Verdict.DIFFERS)}" errors="0" '
        f'skipped="{report.count(Verdict.SKIPPED)}" time="{seconds:.3f}"'
    )
    cases = "".join(_case(result, direct=report.direct_url is not None) for result in report.results)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="gwctl check" {counts}>\n'
        f"  <testsuite name={_quoted(report.url)} {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
    )


def _case(result: Result, *, direct: bool) -> str:
    seconds = (result.ms or 0) / 1000
    head = f'    <testcase classname="check.{result.client}" name={_quoted(result.id)} time="{seconds:.3f}"'
    if result.verdict is Verdict.PASSED:
        return f"{head}/>\n"
    if result.verdict is Verdict.SKIPPED:
        return f"{head}>\n      <skipped message={_quoted(result.reason or '')}/>\n    </testcase>\n"
    lines = "\n".join(escape(printable(line(each, direct=direct))) for each in result.differences)
    return f"{head}>\n      <failure message={_quoted(result.remark)}>{lines}</failure>\n    </testcase>\n"


def _quoted(text: str) -> str:
    return quoteattr(printable(text))
