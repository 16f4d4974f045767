"""A report as one HTML file: nothing is loaded from anywhere, no script is needed, and none could run.

Shown amounts are rounded; the exact one stands in each cell's `data` element, so that a program reads the page as it
reads the JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from keyvault.domain.reports import Totals
from keyvault.money import format_usd
from opsconsole.view.report import svg
from opsconsole.view.report.figures import FIGURES, UNKNOWN, Figure, decimals_for, rounded
from opsconsole.view.report.frame import framed
from opsconsole.view.report.groups import Group, Report
from opsconsole.view.text import printable

_MOST_BARS: Final = 10
_WORDS: Final = (
    "Cost is what providers take, charge what customers pay, margin the charge without the cost; US dollars."
)
_CAPTION: Final = "Groups in bold are sums of what stands below them. The exact amounts are in the CSV and JSON."


def as_html(report: Report) -> str:
    decimals = decimals_for(max(report.total.known_cost_pico, report.total.charge_pico))
    parts = [
        f'<p class="about">{_period(report)}. {_WORDS}</p>',
        _sums(report.total, decimals),
        _remarks(report.remarks),
        _charts(report, decimals),
        _table(report, decimals),
    ]
    return framed(report.title, parts)


def _period(report: Report) -> str:
    return f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M}, {escape(report.tz)}"


def _sums(total: Totals, decimals: int) -> str:
    cells = (f"<div><dt>{escape(f.title)}</dt><dd>{_value(f, total, decimals)}</dd></div>" for f in FIGURES)
    return f'<dl class="sums">\n{chr(10).join(cells)}\n</dl>'


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    return f'<ul class="remarks">\n{chr(10).join(f"<li>{escape(remark)}</li>" for remark in remarks)}\n</ul>'


def _charts(report: Report, decimals: int) -> str:
    drawn: list[str] = []
    if report.days:
        days = [_bar(group, decimals) for group in report.days]
        drawn.append(svg.figure("Cost per day", svg.columns("days", "Cost per day", days), wide=True))
    for ident, title, groups in (
        ("models", "Cost by model", report.models),
        ("customers", "Cost by customer", report.customers),
    ):
        if groups:
            drawn.append(svg.figure(title, svg.rows(ident, title, _dearest(groups, decimals))))
    return svg.beside(drawn)


def _bar(group: Group, decimals: int) -> svg.Bar:
    totals = group.totals
    partly = totals.unknown_cost_attempts > 0
    figure = UNKNOWN if totals.cost_pico is None else _dollars(totals.known_cost_pico, decimals, partly=partly)
    return svg.Bar(printable(group.name), totals.known_cost_pico, figure, partly)


def _dollars(pico: int, decimals: int, *, partly: bool) -> str:
    shown = rounded(pico, decimals, at_least=partly)
    return f"≥ $ {shown.removeprefix('≥ ')}" if partly else f"$ {shown}"


def _dearest(groups: Sequence[Group], decimals: int) -> list[svg.Bar]:
    """The dearest ones, and the rest as one."""
    shown, rest = groups[:_MOST_BARS], groups[_MOST_BARS:]
    bars = [_bar(group, decimals) for group in shown]
    if rest:
        pico = sum(group.totals.known_cost_pico for group in rest)
        partly = any(group.totals.unknown_cost_attempts for group in rest)
        bars.append(svg.Bar(f"{len(rest)} others", pico, _dollars(pico, decimals, partly=partly), partly))
    return bars


def _table(report: Report, decimals: int) -> str:
    headings = "".join(f'<th scope="col">{escape(figure.title)}</th>' for figure in FIGURES)
    first = escape(" / ".join(report.by))
    return "\n".join(
        [
            f'<h2>By {escape(", ".join(report.by))}</h2>\n<div class="scroll">\n<table>',
            f"<caption>{_CAPTION}</caption>",
            f'<thead><tr><th scope="col">{first}</th>{headings}</tr></thead>\n<tbody>',
            *(_line(group, decimals) for group in report.lines()),
            f'</tbody>\n<tfoot><tr><th scope="row">total</th>{_cells(report.total, decimals)}</tr></tfoot>',
            "</table>\n</div>",
        ]
    )


def _line(group: Group, decimals: int) -> str:
    name = f'<th scope="row" style="padding-left:{0.6 + 1.4 * group.depth:.1f}rem">{escape(printable(group.name))}</th>'
    kind = ' class="group"' if group.groups else ""
    return f"<tr{kind}>{name}{_cells(group.totals, decimals)}</tr>"


def _cells(totals: Totals, decimals: int) -> str:
    return "".join(f"<td>{_value(figure, totals, decimals)}</td>" for figure in FIGURES)


def _value(figure: Figure, totals: Totals, decimals: int) -> str:
    value, text = figure.value(totals), escape(figure.text(totals, decimals))
    if value is None:
        return text
    exact = format_usd(value) if figure.money else str(value)
    return f'<data class="{figure.id}" value="{exact}">{text}</data>'
