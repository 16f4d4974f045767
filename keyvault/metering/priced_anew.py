"""What attempts come to by the price book as it is now, against what they counted for so far.

So far an attempt counts for what the newest earlier run that has covered it made of it, which that run's price book
tells again; else for what the ledger says. An attempt keeps the multiplier it was charged by, as far as its own cost
and charge tell it; one whose cost was unknown is charged by the customer's present one. Work that was paid for when it
was done, and of which nobody knows any more what it was, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from keyvault.domain.keys import Project
from keyvault.domain.objects import BATCHES
from keyvault.domain.prices import charge, cost
from keyvault.domain.reports import LIVE
from keyvault.metering.prices import PriceBook
from keyvault.money import divide_half_even
from keyvault.storage import balances as balance_rows
from keyvault.storage import customers, prices, reports
from keyvault.storage import repricing as rows
from keyvault.storage.engine import Transaction
from keyvault.storage.repricing import Priced, Repricing, UnderWay

_PPM: Final = 1_000_000
_DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class Difference:
    """What a project's attempts on a model come to, as they counted so far and by the present prices."""

    customer: str
    project: str
    """`acme/web`."""
    model: str
    attempts: int = 0
    """Those that come to something else than before."""
    now_known: int = 0
    """Of these, those whose cost nobody knew."""
    cost_before_pico: int = 0
    cost_now_pico: int = 0
    charge_before_pico: int = 0
    charge_now_pico: int = 0

    @property
    def charge_pico(self) -> int:
        """What the customer owes more, or less."""
        return self.charge_now_pico - self.charge_before_pico


class _Figures(NamedTuple):
    cost: int | None
    charge: int | None


@dataclass(frozen=True, slots=True)
class _Run:
    """One earlier run, with the price book as it was then."""

    of: Repricing
    book: PriceBook

    def covers(self, attempt: Priced) -> bool:
        of = self.of
        inside = of.first_ms <= attempt.started_ms < of.last_ms
        return inside and attempt.request_id not in of.left_out and _matches(of, attempt)


@dataclass(slots=True)
class Sums:
    """What is found in a span."""

    looked_at: int = 0
    still_unknown: int = 0
    untold: int = 0
    """Work of which nobody knows any more which price it had: left as it was."""
    differences: dict[tuple[str, str], Difference] = field(default_factory=dict)
    """By project and model."""
    balances: dict[int, int] = field(default_factory=dict)
    """By balance id, what is owed more."""
    waiting: dict[tuple[int, str, str], tuple[int, int]] = field(default_factory=dict)
    """By customer id, project and model: what is owed more, and the newest moment that it is about."""
    customers: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to price attempts anew."""

    run: Repricing
    book: PriceBook
    earlier: Sequence[_Run]
    catalogues: Mapping[str, str | None]
    keys: Mapping[int, reports.KeyOwner]
    projects: Mapping[int, Project]
    balances: frozenset[int]

    @classmethod
    def of(cls, tx: Transaction, run: Repricing) -> Reading:
        books = {run.price_id: PriceBook.load(tx)}
        runs = rows.runs(tx)
        for each in runs:
            if each.price_id not in books:
                books[each.price_id] = PriceBook.load(tx, each.price_id)
        reading = cls(
            run,
            books[run.price_id],
            [_Run(each, books[each.price_id]) for each in runs],
            prices.catalogues(tx),
            reports.key_owners(tx),
            {project.id: project for project in customers.list_projects(tx)},
            frozenset(balance.id for balance in balance_rows.every(tx)),
        )
        return replace(reading, run=replace(run, left_out=reading._under_way(tx)))

    def summed(self, tx: Transaction, progress: Callable[[int, int], None]) -> Sums:
        """`progress` is told how many days of the span are done, and of how many."""
        sums, day, days = Sums(), 0, -((self.run.first_ms - self.run.last_ms) // _DAY_MS)
        for attempt in rows.attempts_in(tx, self.run.first_ms, self.run.last_ms):
            if (now := (attempt.started_ms - self.run.first_ms) // _DAY_MS) > day:
                progress(day := now, days)
            project = self._payer(attempt)
            if project is not None and attempt.request_id not in self.run.left_out and _matches(self.run, attempt):
                sums.looked_at += 1
                if attempt.deferred and attempt.work is None:
                    sums.untold += 1
                else:
                    self._add(sums, attempt, project)
        progress(days, days)
        return sums

    def _under_way(self, tx: Transaction) -> frozenset[str]:
        """The requests of the span that are not settled: they will be charged by the prices that they began with."""
        found = rows.under_way(tx, self.run.first_ms, self.run.last_ms)
        return frozenset(each.request_id for each in found if self._payer(each) and _matches(self.run, each))

    def _payer(self, attempt: Priced | UnderWay) -> Project | None:
        """Who pays for it; None for keys for tests, and where nobody knows."""
        owner = self.keys.get(attempt.key_id)
        if owner is None or owner.env != LIVE:
            return None
        return self.projects.get(attempt.project_id or owner.project_id)

    def _add(self, sums: Sums, attempt: Priced, project: Project) -> None:
        before = self._counted(attempt, project)
        now = self._priced(attempt, self.book, self.run.multipliers[project.customer_id])
        if now.cost is None:
            sums.still_unknown += 1
        if now == before:
            return
        name = f"{project.customer}/{project.name}"
        found = sums.differences.setdefault((name, attempt.model), Difference(project.customer, name, attempt.model))
        sums.customers.add(project.customer_id)
        found.attempts += 1
        found.now_known += before.cost is None
        found.cost_before_pico += before.cost or 0
        found.cost_now_pico += now.cost or 0
        found.charge_before_pico += before.charge or 0
        found.charge_now_pico += now.charge or 0
        more = (now.charge or 0) - (before.charge or 0)
        if attempt.balance_id in self.balances:
            assert attempt.balance_id is not None
            sums.balances[attempt.balance_id] = sums.balances.get(attempt.balance_id, 0) + more
        else:
            of = project.customer_id, name, attempt.model
            pico, newest_ms = sums.waiting.get(of, (0, 0))
            sums.waiting[of] = pico + more, max(newest_ms, attempt.started_ms)

    def _counted(self, attempt: Priced, project: Project) -> _Figures:
        """What it counted for so far: by the newest run that has covered it, else by the ledger."""
        for run in self.earlier:
            if run.covers(attempt):
                of_customer = run.of.multipliers.get(project.customer_id, self.run.multipliers[project.customer_id])
                return self._priced(attempt, run.book, of_customer)
        return _Figures(attempt.cost_pico, attempt.charge_pico)

    def _priced(self, attempt: Priced, book: PriceBook, multiplier_ppm: int) -> _Figures:
        """By a price book; as the ledger has it where that book tells nothing else."""
        as_it_was = _Figures(attempt.cost_pico, attempt.charge_pico)
        if attempt.cost_pico == 0 and attempt.usage.input == 0 and attempt.usage.output == 0:
            return as_it_was  # it came to nothing, or asked for what is free
        find = book.find_batch if attempt.work and attempt.work.kind in BATCHES else book.find
        at_ms = attempt.work.begun_ms if attempt.work else attempt.started_ms
        price = find(attempt.upstream, self.catalogues.get(attempt.upstream), attempt.model, at_ms)
        if price is None or price.id == attempt.price_id:
            return as_it_was
        made = cost(price.rates, attempt.usage)
        return as_it_was if made is None else _Figures(made, charge(made, multiplier_of(attempt, multiplier_ppm)))


def multiplier_of(attempt: Priced, present_ppm: int) -> int:
    """The multiplier that an attempt was charged by, in millionths: the customer's present one, unless its own cost and
    charge tell another. What was not charged on purpose is not charged now."""
    was, charged = attempt.cost_pico, attempt.charge_pico
    if charged == 0 and (was != 0 or attempt.aborted):
        return 0
    if not was or charged is None or charge(was, present_ppm) == charged:
        return present_ppm
    return divide_half_even(charged * _PPM, was)


def _matches(run: Repricing, attempt: Priced | UnderWay) -> bool:
    return _fits(attempt.model, run.model) and _fits(attempt.upstream, run.upstream)


def _fits(name: str, pattern: str | None) -> bool:
    return pattern is None or fnmatchcase(name.lower(), pattern.lower())
