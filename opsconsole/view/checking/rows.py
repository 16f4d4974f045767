"""A check as rows for a table and as lines for whoever wants to know everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opsconsole.view.checking.report import CheckReport, Result, line


def row(result: Result) -> dict[str, Any]:
    """One probe."""
    return {
        "probe": result.id,
        "verdict": result.verdict.value,
        "ms": result.ms,
        "direct_ms": result.direct_ms,
        "client": result.client,
        "about": result.about,
        "difference": result.remark or None,
    }


def details(report: CheckReport) -> Iterator[str]:
    """Every difference, those that count for nothing with their reasons."""
    direct = report.direct_url is not None
    for result in report.results:
        if result.differences or result.allowed:
            yield f"{result.id} ({result.about}, {result.client})"
        yield from (f"  {line(each, direct=direct)}" for each in result.differences)
        for why in dict.fromkeys(each.allowed for each in result.allowed):
            aspects = ", ".join(each.aspect for each in result.allowed if each.allowed == why)
            yield f"  allowed, because {why}: {aspects}"
