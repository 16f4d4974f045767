"""A report without a form: groups within groups, a total, series for charts, and what has to be said beside them.

Every subtotal was summed by itself and not from the lines below it, so that a line that got lost would show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from keyvault.domain.ledger import Basis
from keyvault.domain.names import counted
from keyvault.domain.reports import Totals, UsageReport, UsageRow
from keyvault.money import CURRENCY, format_usd

SERIES = (("day",), ("model",), ("customer",))
"""What charts show, beside the groups that are asked for."""
MOST_DAYS = 1100


@dataclass(frozen=True, slots=True)
class Group:
    """One line of a report. `path`: the values that make it, the last one being its own."""

    by: str
    path: tuple[str, ...]
    totals: Totals
    groups: tuple[Group, ...] = ()

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def depth(self) -> int:
        return len(self.path) - 1


@dataclass(frozen=True, slots=True)
class Report:
    """`since` and `until` are times of the zone `tz`; `until` is not part of it."""

    title: str
    by: tuple[str, ...]
    since: datetime
    until: datetime
    tz: str
    envs: tuple[str, ...]
    groups: tuple[Group, ...]
    total: Totals
    days: tuple[Group, ...]
    models: tuple[Group, ...]
    customers: tuple[Group, ...]
    left_out: Totals | None
    remarks: tuple[str, ...]

    def lines(self) -> Iterator[Group]:
        """Every group in front of those within it."""
        yield from _deep(self.groups)

    def leaves(self) -> Iterator[Group]:
        return (group for group in self.lines() if len(group.path) == len(self.by))


def groupings(by: Sequence[str]) -> list[tuple[str, ...]]:
    """What has to be read for a report by these dimensions, in the order in which `built` takes it."""
    return [*(tuple(by[:depth]) for depth in range(1, len(by) + 1)), *SERIES]


def built(read: Sequence[UsageReport], title: str, zone: tzinfo, now: datetime) -> Report:
    *levels, days, models, customers = read
    whole = levels[-1]
    since, until = whole.since.astimezone(zone), whole.until.astimezone(zone)
    return Report(
        title=title,
        by=whole.by,
        since=since,
        until=until,
        tz=whole.tz,
        envs=whole.envs,
        groups=_nested((), levels),
        total=whole.total,
        days=_every_day(days, since, min(until, now.astimezone(zone))),
        models=tuple(Group("model", row.group, row.totals) for row in models.rows),
        customers=tuple(Group("customer", row.group, row.totals) for row in customers.rows),
        left_out=whole.left_out,
        remarks=tuple(_remarks(whole, until, now)),
    )


def margin_pico(totals: Totals) -> int | None:
    """Charge without cost; None where a part of the cost is not known."""
    unknown = totals.unknown_cost_attempts or totals.cost_pico is None
    return None if unknown else totals.charge_pico - totals.known_cost_pico


def tokens(totals: Totals, count: int) -> int | None:
    """A sum of tokens; None where nobody knows any part of it."""
    return None if totals.basis.keys() == {Basis.UNKNOWN.label} else count


def basis_shares(totals: Totals) -> dict[str, float]:
    """How the counts are known, as shares of all attempts that came to something."""
    every = sum(totals.basis.values())
    return {name: count / every for name, count in totals.basis.items()}


def _deep(groups: Sequence[Group]) -> Iterator[Group]:
    for group in groups:
        yield group
        yield from _deep(group.groups)


def _nested(above: tuple[str, ...], levels: Sequence[UsageReport]) -> tuple[Group, ...]:
    """The groups of the first level, each with those of the next ones within it."""
    by_parent: list[dict[tuple[str, ...], list[UsageRow]]] = []
    for level in levels:
        children: dict[tuple[str, ...], list[UsageRow]] = {}
        for row in level.rows:
            children.setdefault(row.group[:-1], []).append(row)
        by_parent.append(children)

    def within(path: tuple[str, ...]) -> tuple[Group, ...]:
        if len(path) == len(levels):
            return ()
        return tuple(
            Group(levels[len(path)].by[-1], row.group, row.totals, within(row.group))
            for row in by_parent[len(path)].get(path, ())
        )

    return within(above)


def _every_day(days: UsageReport, since: datetime, until: datetime) -> tuple[Group, ...]:
    """In order, days without traffic included."""
    found = {row.group: row.totals for row in days.rows}
    count = (until.date() - since.date()).days + (until.timetz() != until.timetz().replace(hour=0, minute=0, second=0))
    every = [(since.date() + timedelta(days=at)).isoformat() for at in range(max(0, min(count, MOST_DAYS)))]
    names = every if {group for (group,) in found} <= set(every) else sorted(group for (group,) in found)
    return tuple(Group("day", (name,), found.get((name,), Totals())) for name in names)


def _remarks(report: UsageReport, until: datetime, now: datetime) -> Iterator[str]:
    total = report.total
    if not report.rows:
        yield "no traffic in this time"
    if report.since < now < until:
        yield f"not over yet: this is what there was up to {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    if total.unknown_cost_attempts:
        yield (
            f"{total.unknown_cost_attempts:,} of {counted(total.attempts, 'attempt')} have no known cost: cost is at"
            " least what is shown, so is the charge of those that were answered, and margin is not known"
        )
    if total.basis:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in basis_shares(total).items())
        yield f"how the counts are known: {shares}"
    if total.doubt_pico:
        yield (
            f"in doubt: {format_usd(total.doubt_pico)} {CURRENCY}, which nobody is charged for and which providers may"
            " have taken"
        )
    if report.left_out is not None:
        cost = report.left_out.cost_pico
        known = "an unknown cost" if cost is None else f"{format_usd(cost)} {CURRENCY}"
        yield f"left out: {counted(report.left_out.requests, 'request')} of keys for tests, {known}"
    if "tag" in report.by:
        yield "a request stands under each of its tags, so that groups by tag may add up to more than the total"
