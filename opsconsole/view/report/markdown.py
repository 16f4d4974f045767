"""A report as a Markdown table, as GitHub and most wikis show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from opsconsole.view.report.figures import FIGURES, decimals_for
from opsconsole.view.report.groups import Group, Report
from opsconsole.view.text import printable

_MARKS: Final = re.compile(r"([\\`*_\[\]|~@]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
"""What formats or ends a cell, and what makes a link of a bare address."""


def as_markdown(report: Report) -> str:
    decimals = decimals_for(max(report.total.known_cost_pico, report.total.charge_pico))
    heading = [*report.by, *(figure.title for figure in FIGURES)]
    lines = [
        f"# {escaped(report.title)}",
        "",
        f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M}, {escaped(report.tz)}, in US dollars",
        "",
        _row(heading),
        _row([*("---" for _ in report.by), *("---:" for _ in FIGURES)]),
        *(_line(group, report, decimals) for group in report.lines()),
        _row(
            [*_bold(["total", *[""] * (len(report.by) - 1)]), *_bold([f.text(report.total, decimals) for f in FIGURES])]
        ),
    ]
    if report.remarks:
        lines += ["", *(f"- {escaped(remark)}" for remark in report.remarks)]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """`text` as it is: nothing in it formats, links, or ends a cell."""
    shown = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", shown)


def _line(group: Group, report: Report, decimals: int) -> str:
    """Subtotals are bold; each value stands in the column of its dimension."""
    names = ["" for _ in report.by]
    names[group.depth] = escaped(group.name)
    figures = [figure.text(group.totals, decimals) for figure in FIGURES]
    return _row([*_bold(names), *_bold(figures)] if group.groups else [*names, *figures])


def _bold(cells: Sequence[str]) -> list[str]:
    return [f"**{cell}**" if cell else "" for cell in cells]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
