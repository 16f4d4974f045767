"""What the Usage table shows, as a CSV file: the same columns as `gwctl usage report -o csv`, amounts exact."""

from __future__ import annotations

from collections.abc import Sequence

from keyvault.domain.reports import Totals
from keyvault.money import CURRENCY
from opsconsole.view import sheet
from opsconsole.view.report.figures import flat_row
from opsconsole.view.text import printable


def as_csv(by: str, rows: Sequence[tuple[str, Totals]]) -> str:
    """A heading, then a line for each group."""
    heading = [by, *flat_row(Totals()), "currency"]
    return sheet.lines([heading, *([printable(name), *flat_row(totals).values(), CURRENCY] for name, totals in rows)])
