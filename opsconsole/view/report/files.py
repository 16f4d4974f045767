"""A report for programs and spreadsheets: one JSON document, JSON lines, or CSV with one row per innermost group."""

from __future__ import annotations

import json
from typing import Any

from keyvault.clock import rfc3339
from keyvault.money import CURRENCY
from opsconsole.view import sheet
from opsconsole.view.report.figures import flat_row, row
from opsconsole.view.report.groups import Group, Report
from opsconsole.view.text import printable


def document(report: Report) -> dict[str, Any]:
    return {
        "title": report.title,
        "since": rfc3339(report.since),
        "until": rfc3339(report.until),
        "tz": report.tz,
        "by": list(report.by),
        "env": report.envs[0] if len(report.envs) == 1 else "all",
        "currency": CURRENCY,
        "groups": [_group(group) for group in report.groups],
        "days": [{"day": group.name, **row(group.totals)} for group in report.days],
        "models": [{"model": group.name, **row(group.totals)} for group in report.models],
        "customers": [{"customer": group.name, **row(group.totals)} for group in report.customers],
        "left_out": None if report.left_out is None else row(report.left_out),
        "remarks": list(report.remarks),
        "total": row(report.total),
    }


def as_json(report: Report) -> str:
    return json.dumps(document(report), indent=2) + "\n"


def as_json_lines(report: Report) -> str:
    """The innermost groups, one a line."""
    leaves = ({**dict(zip(report.by, leaf.path, strict=True)), **row(leaf.totals)} for leaf in report.leaves())
    return "".join(json.dumps({**leaf, "currency": CURRENCY}, separators=(",", ":")) + "\n" for leaf in leaves)


def as_csv(report: Report) -> str:
    """The innermost groups, which add up to the report's total; amounts are exact."""
    heading = [*report.by, *flat_row(report.total), "currency"]
    leaves = ([*map(printable, leaf.path), *flat_row(leaf.totals).values(), CURRENCY] for leaf in report.leaves())
    return sheet.lines([heading, *leaves])


def _group(group: Group) -> dict[str, Any]:
    within = {"groups": [_group(inner) for inner in group.groups]} if group.groups else {}
    return {"by": group.by, "name": group.name, **row(group.totals), **within}
