"""Usage turned about for a console, read about once a second.

What has passed hardly changes, so the sums of all but the newest steps are remembered and read again now and then; a
settlement of an attempt that began longer ago shows then. While the ledger does not change nothing is read at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta, tzinfo
from typing import Final, NamedTuple

from keyvault.clock import Clock
from keyvault.domain.keys import ENVIRONMENTS
from keyvault.domain.pivot import Pivot, PivotAsked, PivotRow, Share
from keyvault.domain.reports import LIVE
from keyvault.errors import UsageError
from keyvault.metering.filtering import Filter
from keyvault.metering.groups import collect, summed, totals, values_of
from keyvault.metering.known_names import KnownNames
from keyvault.metering.spans import zone_of
from keyvault.metering.steps import Steps, steps_of
from keyvault.storage import reports as rows
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.reports import COUNTS, Names

DIMENSIONS: Final = ("customer", "project", "key", "model", "target", "day")
IDS: Final = ("key_id", "project_id", "target_id")
_REQUESTS: Final = COUNTS.index("requests")
_COST: Final = COUNTS.index("cost_pico")
_UNKNOWN: Final = COUNTS.index("unknown_cost")
_FRESH: Final = 2
"""Steps read anew each time."""
_LONG_AGO: Final = timedelta(days=1)
"""What ended before is remembered as a whole."""
RENEWED_MS: Final = {False: 600_000, True: 3_600_000}
"""How long the sums of older hours, and of older days, are remembered."""

Ids = tuple[int, ...]


class _Label(NamedTuple):
    """What ids count as. `counted`: not of an environment that is left out."""

    group: str
    model: str
    customer: str
    counted: bool


@dataclass(slots=True)
class _Sums:
    """What some steps add up to. No list in it is changed, so that copies may share them."""

    groups: dict[str, list[int]] = field(default_factory=dict)
    shapes: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """Requests and known cost of a group in each step that has any."""
    steps: dict[int, list[int]] = field(default_factory=dict)
    models: dict[str, list[int]] = field(default_factory=dict)
    customers: dict[str, list[int]] = field(default_factory=dict)
    left_out: int = 0

    def copy(self) -> _Sums:
        return _Sums(
            dict(self.groups),
            dict(self.shapes),
            dict(self.steps),
            dict(self.models),
            dict(self.customers),
            self.left_out,
        )

    def add(self, step: int, label: _Label, values: list[int]) -> None:
        if not label.counted:
            self.left_out += values[_REQUESTS]
            return
        collect(self.groups, label.group, values)
        collect(self.steps, step, values)
        part = [values[_REQUESTS], values[_COST], values[_UNKNOWN]]
        collect(self.models, label.model, part)
        collect(self.customers, label.customer, part)
        shape = self.shapes.get(label.group, {})
        requests, cost = shape.get(step, (0, 0))
        self.shapes[label.group] = {**shape, step: (requests + part[0], cost + part[1])}


class Pivots:
    """Reads pivots of one time zone; one thread at a time."""

    def __init__(self, database: Database, clock: Clock, tz: str) -> None:
        self._database = database
        self._clock = clock
        self._zone = zone_of(tz)
        self._names = KnownNames()
        self._labels = _Labels()
        self._old: tuple[object, _Sums] | None = None
        self._last: tuple[object, Pivot] | None = None

    @property
    def zone(self) -> tzinfo:
        return self._zone

    def read(self, asked: PivotAsked) -> Pivot:
        """Raises `UsageError` for a dimension it cannot group by."""
        if asked.by not in DIMENSIONS:
            raise UsageError(f"no rows by {asked.by[:40]!a}", hint=f"one of {', '.join(DIMENSIONS)}")
        steps = steps_of(asked.stretch, asked.day, self._zone, self._clock.now())
        with self._database.snapshot() as tx:
            names = self._names.read(tx)
            state = (asked, steps, rows.change(tx), id(names))
            if self._last is None or self._last[0] != state:
                self._last = (state, self._pivot(tx, asked, steps, names))
        return self._last[1]

    def _pivot(self, tx: Transaction, asked: PivotAsked, steps: Steps, names: Names) -> Pivot:
        only = Filter.of(names, (), {**dict(asked.only), "env": ENVIRONMENTS if asked.tests else LIVE})
        self._labels.about(asked, only, names)
        over = self._clock.now() - steps.starts(steps.last) > _LONG_AGO
        fresh = steps.last if over else max(steps.first, steps.last - _FRESH)
        remembered = (asked, steps, self._clock.now_ms() // RENEWED_MS[steps.days], id(names))
        if self._old is None or self._old[0] != remembered:
            self._old = (remembered, self._summed(tx, _Sums(), steps, range(steps.first, fresh), only))
        found = self._summed(tx, self._old[1].copy(), steps, range(fresh, steps.last), only)
        return _told(asked, steps, found)

    def _summed(self, tx: Transaction, found: _Sums, steps: Steps, which: range, only: Filter) -> _Sums:
        """Add the sums of these steps."""
        if not all(only.where.values()):
            return found
        for step in which:
            of_ids: dict[Ids, list[int]] = {}
            for part in steps.parts(step):
                for each in rows.sums(tx, part.span.level, part.span.first, part.span.last, IDS, where=only.where):
                    values = each.values if part.sign > 0 else [-value for value in each.values]
                    collect(of_ids, each.ids, values)
            for ids, values in of_ids.items():
                label = self._labels.of(ids, steps.label(step))
                if label is not None and any(values):
                    found.add(step, label, values)
        return found


class _Labels:
    """What each combination of ids counts as, worked out once."""

    def __init__(self) -> None:
        self._about: tuple[object, ...] = ()
        self._by = ""
        self._only: Filter | None = None
        self._names: Names | None = None
        self._known: dict[Ids, _Label | None] = {}

    def about(self, asked: PivotAsked, only: Filter, names: Names) -> None:
        """Labels of this question from now on."""
        if self._about != (asked, id(names)):
            self._about, self._by, self._only, self._names = (asked, id(names)), asked.by, only, names
            self._known = {}

    def of(self, ids: Ids, day: str) -> _Label | None:
        """None for what is not looked at."""
        if ids not in self._known:
            self._known[ids] = self._worked_out(ids)
        label = self._known[ids]
        return label._replace(group=day) if label is not None and self._by == "day" else label

    def _worked_out(self, ids: Ids) -> _Label | None:
        if self._only is None or self._names is None:
            return None
        told = values_of(dict(zip(IDS, ids, strict=True)), self._names)
        if not self._only.passes(told):
            return None
        group = told[self._by][0] if self._by != "day" else ""
        return _Label(group, told["model"][0], told["customer"][0], self._only.is_of_env(told))


def _told(asked: PivotAsked, steps: Steps, found: _Sums) -> Pivot:
    numbers = range(steps.first, steps.last)
    nothing = [0] * len(COUNTS)
    flat = (0, 0)
    result = [
        PivotRow(
            name,
            totals(values),
            tuple([shape.get(step, flat)[1] for step in numbers]),
            tuple([shape.get(step, flat)[0] for step in numbers]),
        )
        for name, values in found.groups.items()
        if (shape := found.shapes[name]) is not None
    ]
    if asked.by == "day":
        result.sort(key=lambda row: row.name)
    else:
        result.sort(key=lambda row: (-row.totals.known_cost_pico, -row.totals.requests, row.name))
    return Pivot(
        asked=asked,
        since=steps.starts(steps.first),
        until=steps.starts(steps.last),
        step=steps.lasts,
        rows=tuple(result),
        steps=tuple(totals(found.steps.get(step, nothing)) for step in numbers),
        total=totals(summed(found.steps.values(), len(COUNTS))),
        models=_shares(found.models.items()),
        customers=_shares(found.customers.items()),
        ends=steps.ends,
        left_out=found.left_out,
    )


def _shares(found: Iterable[tuple[str, list[int]]]) -> tuple[Share, ...]:
    """The dearest first."""
    shares = [Share(name, cost if cost or not unknown else None, many) for name, (many, cost, unknown) in found]
    return tuple(sorted(shares, key=lambda share: (-(share.cost_pico or 0), -share.requests, share.name)))
