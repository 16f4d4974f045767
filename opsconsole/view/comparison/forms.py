"""A comparison as a page for people and as a document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from keyvault.money import CURRENCY, format_usd
from opsconsole.view.comparison.report import QUALITY, Comparison, Difference, Measure, ModelFigures, Share
from opsconsole.view.comparison.sentences import ratio, sentences
from opsconsole.view.numbers import count, latency, money, percent
from opsconsole.view.paper import Chart, Paper, Table
from opsconsole.view.report.svg import Bar
from opsconsole.view.text import printable

UNKNOWN: Final = "–"
_CELLS: Final = (
    "measure",
    "task",
    "first",
    "second",
    "prompts",
    "estimate",
    "low",
    "high",
    "p",
    "adjusted_p",
    "verdict",
    "needed",
)
"""The columns of a CSV file."""


def paper(comparison: Comparison) -> Paper:
    facts = (
        ("run", comparison.id),
        ("began", f"{datetime.fromisoformat(comparison.began_at):%Y-%m-%d %H:%M} UTC"),
        ("asked", comparison.place),
        ("prompts", str(comparison.prompts)),
        *((("repeats", str(comparison.repeat)),) if comparison.repeat > 1 else ()),
        *((("tasks", ", ".join(comparison.tasks)),) if comparison.tasks else ()),
        *((("reviewed", _reviewed(comparison)),) if comparison.reviewed else ()),
    )
    tables = (_models(comparison), _qualities(comparison), _tasks(comparison), _amounts(comparison))
    return Paper(
        title=printable(f"Comparison: {comparison.title}"),
        facts=tuple((name, printable(text)) for name, text in facts),
        tables=tuple(table for table in tables if table.rows),
        remarks=tuple(map(printable, comparison.remarks)),
        findings=tuple(map(printable, sentences(comparison))),
        charts=tuple(_charts(comparison)),
    )


def document(comparison: Comparison) -> dict[str, Any]:
    """For programs: shares from 0 to 1, times in milliseconds, money as exact decimal text."""
    told: dict[str, Any] = msgspec.to_builtins(comparison)
    for model in told["models"]:
        _priced(model)
    if told["judging"] is not None:
        _priced(told["judging"])
    del told["records"]
    return {**told, "sentences": sentences(comparison), "currency": CURRENCY}


def as_json(told: dict[str, Any]) -> str:
    return json.dumps(told, indent=2) + "\n"


def lines(comparison: Comparison) -> list[list[Any]]:
    """For spreadsheets: one row for each difference."""
    told = [msgspec.to_builtins(each) for each in comparison.differences]
    return [list(_CELLS), *([each[name] for name in _CELLS] for each in told)]


def _priced(told: dict[str, Any]) -> None:
    pico = told.pop("cost_pico")
    told["cost"] = None if pico is None else format_usd(pico)


def _reviewed(comparison: Comparison) -> str:
    left = f", {comparison.review_pending} pending" if comparison.review_pending else ""
    return f"{comparison.reviewed} pairs{left}"


def _charts(comparison: Comparison) -> Iterator[Chart]:
    """Right answers, time and cost of each model, where all of them are known."""
    for ident, title, bar in (("right", "Right answers", _right), ("total", "Time", _time), ("cost", "Cost", _cost)):
        bars = [bar(each) for each in comparison.models]
        if any(each.value for each in bars):
            yield Chart(ident, title, tuple(bars))


def _right(each: ModelFigures) -> Bar:
    share = None if each.right is None else each.right.value
    return Bar(printable(each.model), round((share or 0) * 1000), percent(share), share is None)


def _time(each: ModelFigures) -> Bar:
    return Bar(printable(each.model), round(each.total_ms or 0), latency(each.total_ms), each.total_ms is None)


def _cost(each: ModelFigures) -> Bar:
    figure = money(each.cost_pico, unpriced=each.unknown_costs)
    return Bar(printable(each.model), each.cost_pico or 0, figure, each.cost_pico is None or each.unknown_costs > 0)


def _models(comparison: Comparison) -> Table:
    """One line for each model."""
    right = any(each.right is not None for each in comparison.models)
    judges = [measure for measure in QUALITY if any(measure in each.preferred for each in comparison.models)]
    headings = (
        "model",
        "answered",
        *(("right", "95 % interval") if right else ()),
        *(f"{measure}: won / equal / lost" for measure in judges),
        "first content",
        "total",
        "input",
        "output",
        "cost",
    )
    rows = tuple(
        (
            printable(each.model),
            f"{each.answered} of {each.asked}",
            *(_share(each.right) if right else ()),
            *(_preferred(each, measure) for measure in judges),
            latency(each.first_content_ms),
            latency(each.total_ms),
            count(each.input_tokens),
            count(each.output_tokens),
            money(each.cost_pico, unpriced=each.unknown_costs),
        )
        for each in comparison.models
    )
    return Table("Models (times are medians)", headings, rows, 1)


def _qualities(comparison: Comparison) -> Table:
    rows = tuple(_quality(each) for measure in QUALITY for each in comparison.of(measure))
    return Table("Quality, each two models", _QUALITY_HEADINGS, rows, 3)


def _tasks(comparison: Comparison) -> Table:
    rows = tuple(
        (printable(task), *_quality(each))
        for task in comparison.tasks
        for measure in QUALITY
        for each in comparison.of(measure, task)
    )
    return Table("Quality by class of task", ("task", *_QUALITY_HEADINGS), rows, 4)


def _amounts(comparison: Comparison) -> Table:
    measures = (Measure.FIRST_CONTENT, Measure.TOTAL, Measure.COST)
    rows = tuple(
        (
            _NAMES[measure],
            printable(each.first),
            printable(each.second),
            str(each.prompts),
            UNKNOWN if each.estimate is None else ratio(each.estimate),
            UNKNOWN if each.low is None or each.high is None else f"{ratio(each.low)} to {ratio(each.high)}",
            _p(each),
        )
        for measure in measures
        for each in comparison.of(measure)
    )
    headings = ("measure", "first", "second", "prompts", "first / second", "95 % interval", "p, corrected")
    return Table("Time and cost, each two models (typical ratio of times, ratio of all costs)", headings, rows, 3)


_QUALITY_HEADINGS: Final = ("measure", "first", "second", "prompts", "points", "95 % interval", "p, corrected")
_NAMES: Final = {
    Measure.EXPECTED: "right answers",
    Measure.JUDGE: "judge",
    Measure.REVIEW: "review",
    Measure.FIRST_CONTENT: "first content",
    Measure.TOTAL: "total time",
    Measure.COST: "cost",
}


def _quality(each: Difference) -> tuple[str, ...]:
    return (
        _NAMES[each.measure],
        printable(each.first),
        printable(each.second),
        str(each.prompts),
        UNKNOWN if each.estimate is None else f"{each.estimate * 100:+.1f}",
        UNKNOWN if each.low is None or each.high is None else f"{each.low * 100:+.1f} to {each.high * 100:+.1f}",
        _p(each),
    )


def _p(each: Difference) -> str:
    if each.adjusted_p is None:
        return UNKNOWN
    return "< 0.001" if each.adjusted_p < 0.001 else f"{each.adjusted_p:.3f}"


def _share(share: Share | None) -> tuple[str, str]:
    if share is None:
        return UNKNOWN, UNKNOWN
    return f"{percent(share.value)} of {share.of}", f"{share.low * 100:.0f} to {share.high * 100:.0f} %"


def _preferred(each: ModelFigures, measure: Measure) -> str:
    return " / ".join(map(str, each.preferred.get(measure, (0, 0, 0))))
