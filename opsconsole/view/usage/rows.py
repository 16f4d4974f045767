"""From a snapshot to the rows of the Usage table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from keyvault.domain.pivot import Pivot, PivotRow
from keyvault.domain.reports import Totals
from opsconsole.view import charts, numbers
from opsconsole.view.filters import Filter
from opsconsole.view.live import reading
from opsconsole.view.live.columns import TREND_WIDTH, Scale, figures, scale_of
from opsconsole.view.live.snapshot import Row
from opsconsole.view.report.groups import basis_shares
from opsconsole.view.table import MOST_ROWS, Column, Heading, Sort, Table, name_column, order, write
from opsconsole.view.text import UNICODE, Glyphs, Span, Tone, printable
from opsconsole.view.usage import snapshot as known
from opsconsole.view.usage.snapshot import UsageSnapshot

BY_COST: Final = Sort("cost")
BY_DAY: Final = Sort("group", descending=False)


@dataclass(frozen=True, slots=True)
class UsageRow(Row):
    """A group's figures. `group` is its name as it is in the ledger."""

    totals: Totals = field(default_factory=Totals)


def rows(pivot: Pivot) -> tuple[UsageRow, ...]:
    """At most `MOST_ROWS` of them, as they come: the dearest first."""
    return tuple(map(_row, pivot.rows[: known.MOST_ROWS]))


def _row(row: PivotRow) -> UsageRow:
    return UsageRow(row.name, "", reading.sums(row.totals), row.costs, row.totals)


def table(
    snapshot: UsageSnapshot,
    sort: Sort = BY_COST,
    wanted: Filter = Filter(),  # noqa: B008 - frozen
    glyphs: Glyphs = UNICODE,
    most: int = MOST_ROWS,
) -> Table:
    """The written table of a snapshot."""
    pivot = snapshot.pivot
    found = rows(pivot) if pivot else ()
    by = snapshot.question.asked.by
    return write(
        found,
        columns(by, scale_of(found, 1, glyphs)),
        sort,
        key=lambda row: (row.group,),
        names=lambda row: (row.group,),
        wanted=wanted,
        kind=(by, snapshot.question.asked.only, snapshot.question.asked.day),
        usual=BY_COST,
        more=pivot is not None and len(pivot.rows) > known.MOST_ROWS,
        most=most,
    )


def matching(pivot: Pivot, wanted: Filter) -> Sequence[PivotRow]:
    """Every row that the filter lets through, of those too that the table has no room for."""
    return [row for row in pivot.rows if wanted.matches(row.name)] if wanted else pivot.rows


def ordered(found: Sequence[PivotRow], by: str, sort: Sort, glyphs: Glyphs = UNICODE) -> list[PivotRow]:
    """Rows in the order of the table."""
    written = tuple(map(_row, found))
    known_columns = columns(by, scale_of(written, 1, glyphs))
    column = next(each for each in known_columns if each.id == sort.column)
    of = {row.name: row for row in found}
    return [of[row.group] for row in order(written, column, lambda row: (row.group,), descending=sort.descending)]


def columns(by: str, scale: Scale) -> tuple[Column[UsageRow], ...]:
    """The columns of a grouping, in the order in which they stand."""
    name: Column[UsageRow] = name_column(
        "group", by.upper(), lambda row: row.group, lambda row: Span(printable(row.group))
    )
    charge: Column[UsageRow] = Column(
        Heading("charge", "CHARGE $", 5),
        lambda row: charged(row.totals),
        lambda row: Span(numbers.dollars(charged(row.totals), scale.cost_decimals, scale.glyphs), Tone.MONEY),
    )
    basis: Column[UsageRow] = Column(
        Heading("basis", "COUNTED BY", 9, right=False),
        lambda row: basis_shares(row.totals).get("provider"),
        lambda row: Span(counted_by(row.totals, scale.glyphs), Tone.FAINT),
    )
    trend: Column[UsageRow] = Column(
        Heading("trend", "TREND $", 6, right=False),
        lambda row: row.sums.cost_pico,
        lambda row: Span(charts.trend(row.trend, TREND_WIDTH, scale.glyphs), Tone.MONEY),
        sorts=False,
    )
    told = figures(scale, "requests", "input", "cached", "output", "cost")
    rest = figures(scale, "share", "errors")
    return (name, *told, charge, *rest, basis, *(() if by == "day" else (trend,)))


def charged(totals: Totals) -> int | None:
    """None where nothing is known of it."""
    return None if totals.unknown_cost_attempts and not totals.charge_pico else totals.charge_pico


def counted_by(totals: Totals, glyphs: Glyphs) -> str:
    """`provider`, or `provider 97 %` and the rest otherwise."""
    shares = basis_shares(totals)
    if not shares:
        return glyphs.unknown
    name, share = max(shares.items(), key=lambda pair: pair[1])
    return name if share == 1 else f"{name} {min(99, round(share * 100))} %"
