"""What it takes to freeze a month: that it may be closed, and the next number.

A customer's months are closed in order, none of a time before there was the customer, and none past one that has
charges and is open: a month that is mistyped is refused rather than frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from keyvault.clock import to_ms
from keyvault.domain.names import counted
from keyvault.domain.statements import Document, Month, newest_numbers, next_number
from keyvault.errors import Conflict
from keyvault.metering.closing import MonthRead
from keyvault.metering.issued import GIVING
from keyvault.metering.spans import zone_of
from keyvault.storage import audit as audit_rows
from keyvault.storage import closing as rows
from keyvault.storage.closing import Period
from keyvault.storage.engine import Transaction

if TYPE_CHECKING:
    from keyvault.domain.keys import Customer

SETTLING_MS: Final = 60_000
"""How long after its end a month is closed at the earliest: what began in its last moment is on record by then."""


class Numbers:
    """The numbers that were given. The audit log is read once, and behind that only what is new in it."""

    def __init__(self) -> None:
        self._newest: set[str] = set()
        self._seq = 0

    def read(self, tx: Transaction) -> None:
        """Once in a transaction, before a number is given."""
        seq, _ = audit_rows.last(tx)
        self._newest = newest_numbers({*self._newest, *rows.numbers(tx, GIVING, self._seq)})
        self._seq = seq

    def next(self, document: Document) -> str:
        number = next_number(self._newest, document.issued_ms, document.zone)
        self._newest = newest_numbers({*self._newest, number})
        return number


class Months:
    """The months of all customers, read in one transaction, each once."""

    def __init__(self, tx: Transaction, now_ms: int) -> None:
        self._tx = tx
        self._now_ms = now_ms
        self._periods: dict[int, list[Period]] = {}
        for period in rows.periods(tx):
            self._periods.setdefault(period.customer_id, []).append(period)
        self._read: dict[tuple[str, str], MonthRead] = {}

    def find(self, customer: Customer, name: str, tz: str | None) -> MonthRead | None:
        """A month that may be closed; None for one that is, or lies before there was anything of the customer. Raises
        `Conflict` as `close` does, but for that."""
        closed = self._periods.get(customer.id, [])
        if any(name <= period.month for period in closed):
            return None
        read = self._over(customer, closed, name, tz)
        return None if _before_existence(customer, read) else read

    def close(self, customer: Customer, name: str, tz: str | None) -> MonthRead:
        """A month that may be closed. Raises `UsageError`, and `Conflict` for one that is closed, not over or not
        settled, out of order, or from before there was the customer."""
        closed = self._periods.get(customer.id, [])
        month_of(customer, closed, name, tz)
        if closed and name < (last := max(closed, key=lambda period: period.month)).month:
            what = f"{name} of {customer.name} comes before {last.month}, which is closed: {last.number}"
            raise Conflict(what, hint="gwctl statements adjust puts what was forgotten on the next statement")
        read = self._over(customer, closed, name, tz)
        if _before_existence(customer, read):
            what = f"in {name} there was no customer {customer.name} yet, and nothing to charge"
            raise Conflict(what, hint=f"gwctl customers show {customer.name}")
        return read

    def _over(self, customer: Customer, closed: Sequence[Period], name: str, tz: str | None) -> MonthRead:
        month = month_of(customer, closed, name, tz)
        if self._now_ms < month.last_ms + SETTLING_MS:
            what = f"{month.name} is not over yet in {month.zone}"
            hint = f"gwctl statements create customer:{customer.name} --month {month.name} --draft shows it unfrozen"
            raise Conflict(what, hint=hint)
        read = self._of(month)
        if closed:
            self._refuse_gap(customer, max(period.month for period in closed), month)
        refuse_open(customer, read)
        return read

    def _refuse_gap(self, customer: Customer, last: str, month: Month) -> None:
        skipped = Month.of(last, month.zone).next()
        while skipped.name < month.name:
            if customer.name in self._of(skipped).lines:
                what = f"{skipped.name} of {customer.name} has charges and is not closed yet"
                hint = f"gwctl statements create customer:{customer.name} --month {skipped.name}"
                raise Conflict(what, hint=hint)
            skipped = skipped.next()

    def _of(self, month: Month) -> MonthRead:
        of = month.name, month.zone
        if of not in self._read:
            self._read[of] = MonthRead.of(self._tx, month)
        return self._read[of]


def month_of(customer: Customer, closed: Sequence[Period], name: str, tz: str | None) -> Month:
    """A month in the customer's time zone. Raises `Conflict` where it is closed, or where the zone is another than
    before: some hours would be charged twice, or never."""
    for period in closed:
        if period.month == name:
            what = f"{name} of {customer.name} is closed already: {period.number}"
            raise Conflict(what, hint=f"gwctl statements show {period.number}")
    zone = _zone_name(tz) if tz is not None else closed[-1].zone if closed else "UTC"
    if closed and zone != closed[-1].zone:
        what = f"the statements of {customer.name} are in {closed[-1].zone}, and months of {zone} would overlap them"
        raise Conflict(what, hint=f"--tz {closed[-1].zone}")
    return Month.of(name, zone)


def refuse_open(customer: Customer, read: MonthRead) -> None:
    """Raises `Conflict`."""
    if count := read.still_open.get(customer.name, 0):
        what = f"{counted(count, 'attempt')} of {customer.name} from {read.month.name} or before not settled yet"
        raise Conflict(what, hint="try again when they are: gwctl workers list; lost ones end with gwctl serve")


def _before_existence(customer: Customer, read: MonthRead) -> bool:
    return read.month.last_ms <= to_ms(customer.created_at) and customer.name not in read.lines


def _zone_name(tz: str) -> str:
    zone_of(tz)
    return "UTC" if tz.upper() == "UTC" else tz
