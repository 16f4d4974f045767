"""Prices a span of the ledger anew, after a wrong price was corrected, and books the difference.

The ledger's rows are never edited: a balance gets an adjustment, a customer without one an adjustment on the next
statement. A run is remembered with its span and the newest price it knew, so that what an attempt counts for since is
known (`keyvault.metering.priced_anew`), and another run books only what has changed after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from keyvault import audit
from keyvault.clock import Clock, from_ms, rfc3339, to_ms
from keyvault.domain.balances import EntryKind
from keyvault.errors import Conflict, UsageError
from keyvault.metering import booking
from keyvault.metering.priced_anew import Difference, Reading, Sums
from keyvault.money import format_usd
from keyvault.storage import balances as balance_rows
from keyvault.storage import closing, customers, prices
from keyvault.storage import repricing as rows
from keyvault.storage.closing import NewAdjustment
from keyvault.storage.engine import Database, Transaction
from keyvault.storage.repricing import Repricing

REPRICED: Final = "usage.reprice"


@dataclass(frozen=True, slots=True)
class Repriced:
    """What a run did."""

    number: int | None
    """None where nothing has changed, and nothing was booked."""
    since: datetime
    until: datetime
    looked_at: int
    still_unknown: int
    """Attempts whose cost the present prices do not tell either."""
    untold: int
    """Work that was paid for when it was done, of which nobody knows any more which price it had: left as it was."""
    left_out: int
    """Requests of the span that are under way, for a later run."""
    differences: tuple[Difference, ...]
    balances: tuple[tuple[str, int], ...]
    """What was put on each balance, in pico-dollars, by its scope."""
    waiting: tuple[tuple[str, int], ...]
    """What will stand on each customer's next statement, by the customer's name."""


class Repricings:
    """The service behind `gwctl usage reprice`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def run(
        self,
        since: datetime,
        until: datetime | None = None,
        *,
        model: str | None = None,
        upstream: str | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Repriced:
        """Price the attempts of a span anew, live keys only, and book the difference. `model` and `upstream` are
        patterns; `progress` is told how many days of the span are done, and of how many. Raises `UsageError`, `Locked`,
        and `Conflict` where prices change meanwhile."""
        with self._database.snapshot() as tx:  # to read a large ledger takes a while, for which nobody has to wait
            reading = Reading.of(tx, self._run(tx, since, until, model, upstream))
            run = reading.run
            sums = reading.summed(tx, progress)
        with self._database.change() as tx:
            _refuse_stale(tx, reading)
            number = self._book(tx, run, sums) if sums.differences else None
            return _told(tx, number, run, sums)

    def _run(
        self, tx: Transaction, since: datetime, until: datetime | None, model: str | None, upstream: str | None
    ) -> Repricing:
        """Up to now at most."""
        now = self._clock.now_ms()
        first, last = to_ms(since), now if until is None else min(to_ms(until), now)
        if last <= first:
            raise UsageError("nothing began in that span", hint="--from 2026-10-01 --until 2026-11-01")
        present = {customer.id: customer.multiplier_ppm for customer in customers.list_customers(tx)}
        return Repricing(0, first, last, model, upstream, prices.last(tx), present)

    def _book(self, tx: Transaction, run: Repricing, sums: Sums) -> int:
        run = replace(run, multipliers={each: run.multipliers[each] for each in sums.customers})
        number = rows.insert(tx, run, self._clock.now_ms())
        reason = f"repricing {number}: {_span(run)}"
        known = {balance.id: balance for balance in balance_rows.every(tx)}
        for balance_id, pico in sorted(sums.balances.items()):
            if pico:
                booking.booked(tx, self._clock, known[balance_id], EntryKind.ADJUST, -pico, reason)
        lines = [NewAdjustment(*of, pico, reason, at_ms) for of, (pico, at_ms) in sorted(sums.waiting.items()) if pico]
        closing.add_waiting(tx, lines, self._clock.now_ms())
        audit.record(tx, self._clock, REPRICED, "usage", **_on_record(tx, run, lines))
        return number


def _refuse_stale(tx: Transaction, reading: Reading) -> None:
    """What was read is settled and does not change; prices, and what other runs have booked, may."""
    now = prices.last(tx), [run.id for run in rows.runs(tx)]
    if now != (reading.run.price_id, [run.of.id for run in reading.earlier]):
        raise Conflict("prices were changed, or priced anew, meanwhile", hint="run the same again")


def _span(run: Repricing) -> str:
    return f"{from_ms(run.first_ms):%Y-%m-%dT%H:%MZ} to {from_ms(run.last_ms):%Y-%m-%dT%H:%MZ}"


def _on_record(tx: Transaction, run: Repricing, lines: Sequence[NewAdjustment]) -> dict[str, object]:
    """All that a restore needs to remember the run, and what waits for statements since."""
    names = {customer.id: customer.name for customer in customers.list_customers(tx)}
    return {
        "since": rfc3339(from_ms(run.first_ms)),
        "until": rfc3339(from_ms(run.last_ms)),
        "model": run.model,
        "upstream": run.upstream,
        "price_id": run.price_id,
        "multipliers": {names[customer_id]: ppm for customer_id, ppm in sorted(run.multipliers.items())},
        "left_out": sorted(run.left_out),
        "adjustments": [
            {
                "customer": names[line.customer_id],
                "project": line.project,
                "model": line.model,
                "amount": format_usd(line.amount_pico),
                "reason": line.reason,
                "corrects": rfc3339(from_ms(line.corrects_ms)),
            }
            for line in lines
        ],
    }


def _told(tx: Transaction, number: int | None, run: Repricing, sums: Sums) -> Repriced:
    scopes = {balance.id: str(balance.scope) for balance in balance_rows.every(tx)}
    names = {customer.id: customer.name for customer in customers.list_customers(tx)}
    waiting: dict[str, int] = {}
    for (customer_id, _, _), (pico, _) in sums.waiting.items():
        waiting[names[customer_id]] = waiting.get(names[customer_id], 0) + pico
    return Repriced(
        number=number,
        since=from_ms(run.first_ms),
        until=from_ms(run.last_ms),
        looked_at=sums.looked_at,
        still_unknown=sums.still_unknown,
        untold=sums.untold,
        left_out=len(run.left_out),
        differences=tuple(sorted(sums.differences.values(), key=lambda d: (-abs(d.charge_pico), d.project, d.model))),
        balances=tuple((scopes[balance_id], -pico) for balance_id, pico in sorted(sums.balances.items()) if pico),
        waiting=tuple((name, pico) for name, pico in sorted(waiting.items()) if pico),
    )
