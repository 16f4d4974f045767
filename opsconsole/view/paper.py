"""A page without a form, and its forms: for a terminal, as Markdown, and as one HTML file.

A title, facts, sentences, tables, and what has to be said beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from opsconsole.view.report import svg
from opsconsole.view.report.frame import framed
from opsconsole.view.report.markdown import escaped

_WORD: Final = ' class="word"'


@dataclass(frozen=True, slots=True)
class Table:
    """`words`: how many of the first columns are words; the others are figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    total: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """Lying bars; only a page for a browser draws them, and a table says what they show."""

    ident: str
    title: str
    bars: tuple[svg.Bar, ...]


@dataclass(frozen=True, slots=True)
class Paper:
    """`findings`: what there is to say, in front of the charts and tables that show it."""

    title: str
    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    remarks: tuple[str, ...]
    findings: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()


def as_text(page: Paper) -> str:
    """For a terminal or a pipe: nothing is cut."""
    width = max(len(name) for name, _ in page.facts)
    parts = [page.title, "", *(f"{name.ljust(width)}  {text}" for name, text in page.facts)]
    if page.findings:
        parts += ["", *(f"- {finding}" for finding in page.findings)]
    for table in page.tables:
        parts += ["", table.title, *_aligned(table)]
    if page.remarks:
        parts += ["", *(f"- {remark}" for remark in page.remarks)]
    return "\n".join(parts) + "\n"


def as_markdown(page: Paper) -> str:
    parts = [f"# {escaped(page.title)}", "", *(f"- {name}: {escaped(text)}" for name, text in page.facts)]
    if page.findings:
        parts += ["", *(f"- **{escaped(finding)}**" for finding in page.findings)]
    for table in page.tables:
        marks = ["---" if at < table.words else "---:" for at in range(len(table.headings))]
        rows = [_marked(table.headings), _marked(marks, raw=True), *map(_marked, table.rows)]
        rows += [_marked([cell and f"**{cell}**" for cell in table.total], raw=True)] if table.total else []
        parts += ["", f"## {escaped(table.title)}", "", *rows]
    if page.remarks:
        parts += ["", *(f"- {escaped(remark)}" for remark in page.remarks)]
    return "\n".join(parts) + "\n"


def as_html(page: Paper) -> str:
    """One file: nothing is loaded from anywhere, and no script could run."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>\n" for name, text in page.facts)
    parts = [
        f'<dl class="sums">\n{facts}</dl>',
        _html_list("findings", page.findings),
        _html_charts(page.charts),
        *map(_html_table, page.tables),
        _html_list("remarks", page.remarks),
    ]
    return framed(page.title, parts)


def _aligned(table: Table) -> list[str]:
    rows = [table.headings, *table.rows, *([table.total] if table.total else [])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at < table.words else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _marked(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(escaped, cells))} |"


def _html_charts(charts: Sequence[Chart]) -> str:
    drawn = [svg.figure(each.title, svg.rows(each.ident, each.title, each.bars)) for each in charts]
    return svg.beside(drawn)


def _html_list(kind: str, sentences: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(sentence)}</li>\n" for sentence in sentences)
    return f'<ul class="{kind}">\n{lines}</ul>' if lines else ""


def _html_table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_WORD if at < table.words else ""}>{escape(heading)}</th>'
        for at, heading in enumerate(table.headings)
    )
    body = "\n".join(_html_row(row, table.words) for row in table.rows)
    foot = f"\n<tfoot>{_html_row(table.total, table.words)}</tfoot>" if table.total else ""
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="scroll">\n<table>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>{foot}\n</table>\n</div>"
    )


def _html_row(row: Sequence[str], words: int) -> str:
    """`words`: how many of the first cells are words, and stand to the left."""
    cells = "".join(f"<td{_WORD if at < words else ''}>{escape(cell)}</td>" for at, cell in enumerate(row[1:], 1))
    return f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>'
