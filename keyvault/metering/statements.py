"""Closing a month: numbers a customer's statement and freezes it, once; what is corrected later is a credit note or a
line of the next one.

Numbers are one gapless sequence a year for statements and credit notes. Each is vouched for by the vault, and on record
in the audit log with all that it says, so that a restore brings it back as it was.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.balances import EntryKind
from keyvault.domain.budgets import check_amount
from keyvault.domain.names import counted, not_found
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.domain.statements import (
    PICO_PER_CENT,
    STATEMENT,
    CreditNote,
    Document,
    Month,
    Statement,
    check_number,
    decimal,
    next_number,
)
from keyvault.errors import Conflict, UsageError
from keyvault.metering import booking
from keyvault.metering.booking import check_reason
from keyvault.metering.closing import MonthRead
from keyvault.metering.issued import ADJUSTED, CREATED, CREDITED, GIVING, Vouched, verified, wrong
from keyvault.metering.spans import zone_of
from keyvault.money import CURRENCY, format_usd
from keyvault.storage import closing as rows
from keyvault.storage import customers
from keyvault.storage.closing import Frozen, NewAdjustment
from keyvault.storage.engine import Database, Transaction

if TYPE_CHECKING:
    from keyvault.domain.keys import Customer
    from keyvault.vault.manifest import SealKeys

SETTLING_MS: Final = 60_000
"""How long after its end a month is closed at the earliest: what began in its last moment is on record by then."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A statement or credit note in a list."""

    number: str
    kind: str
    customer: str
    month: str | None
    zone: str
    credits: str | None
    cents: int
    credited_cents: int
    """What credit notes gave back of it."""
    issued_ms: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A document that is as it was issued."""

    document: Document
    credit_notes: tuple[CreditNote, ...]
    vouched: Vouched


class Statements:
    """The service behind `gwctl statements`."""

    def __init__(self, database: Database, clock: Clock, keys: Callable[[], SealKeys | None]) -> None:
        """`keys`: those of seals, None while the vault is locked."""
        self._database = database
        self._clock = clock
        self._keys = keys

    def create(self, scope: Scope, month: str, tz: str | None = None) -> Statement:
        """Close a customer's month. `tz`: as on the customer's statements before, or UTC.

        Raises `NotFound`, `UsageError`, and `Conflict` for a month that is closed, not over, or not settled.
        """
        with self._database.snapshot() as tx:
            found = self._read(tx, _customer(tx, scope), month, tz, {})
        with self._database.change() as tx:
            return self._freeze(tx, _customer(tx, scope), found)

    def create_all(self, month: str, tz: str | None = None) -> builtins.list[Statement]:
        """Close the month of every customer of whom there is anything to say and whose month is not closed yet, all of
        them or none. Raises as `create` does."""
        with self._database.snapshot() as tx:
            by_zone: dict[str, MonthRead] = {}
            open_ones = [each for each in customers.list_customers(tx) if _closed(tx, each, month) is None]
            found = [(each, self._read(tx, each, month, tz, by_zone)) for each in open_ones]
        with self._database.change() as tx:
            waiting = rows.waiting(tx)
            return [
                self._freeze(tx, customer, read)
                for customer, read in found
                if customer.id in waiting or read.concerns(customer.name)
            ]

    def draft(self, scope: Scope, month: str, tz: str | None = None) -> Statement:
        """What the statement would say now, frozen nowhere; the month need not be over. Raises `NotFound`,
        `UsageError`, `Conflict` for a month that is closed."""
        with self._database.snapshot() as tx:
            customer = _customer(tx, scope)
            found = MonthRead.of(tx, _month(tx, customer, month, tz))
            return found.statement(customer.name, rows.waiting(tx, customer.id).get(customer.id, []), self._now())

    def credit(self, number: str, cents: int, reason: str, *, to_balance: bool = False) -> CreditNote:
        """Give back some of what a statement charged, by a numbered credit note; with `to_balance` on the customer's
        live balance, in the same transaction. Raises `NotFound`, `UsageError`, and `Conflict` for more than is left."""
        number, reason = check_number(number), check_reason(reason)
        if cents <= 0:
            raise UsageError("a credit note is about more than nothing", hint="--reason and an amount such as 2.50")
        with self._database.change() as tx:
            stored = _existing(tx, number)
            statement = verified(tx, stored, self._keys())
            if not isinstance(statement, Statement):
                raise UsageError(f"{number} is a credit note itself", hint=f"gwctl statements show {stored.credits}")
            given = sum(note.amount_cents for note in rows.credits_of(tx, number))
            if cents > (left := max(0, statement.total_cents - given)):
                what = f"of {number} no more than {decimal(left)} {CURRENCY} can be given back"
                raise Conflict(what, hint=f"gwctl statements show {number}")
            customer = customers.find_customer(tx, stored.customer)
            assert customer is not None
            note = CreditNote(None, number, customer.name, stored.zone, self._now(), cents, reason)
            note = replace(note, number=_next_number(tx, note))
            if to_balance:
                note = replace(note, balance=self._put_on_balance(tx, customer, note))
            self._issue(tx, customer, CREDITED, note)
            return note

    def adjust(self, scope: Scope, amount_pico: int, reason: str) -> None:
        """Charge a customer more, or less, on the next statement; for one without a balance. Raises `NotFound`,
        `UsageError`."""
        reason = check_reason(reason)
        if not check_amount(abs(amount_pico)):
            raise UsageError("an adjustment is of more or less than nothing")
        with self._database.change() as tx:
            customer = _customer(tx, scope)
            rows.add_waiting(tx, [NewAdjustment(customer.id, "", "", amount_pico, reason)], self._now())
            told = {"amount": format_usd(amount_pico), "reason": reason}
            audit.record(tx, self._clock, ADJUSTED, f"customer:{customer.name}", **told)

    def list(self, scope: Scope | None = None, month: str | None = None) -> builtins.list[Listed]:
        """Statements and credit notes in the order of issue. Raises `NotFound`, `UsageError`."""
        with self._database.read() as tx:
            found = rows.every(tx) if scope is None else rows.of_customer(tx, _customer(tx, scope).id)
        given: dict[str, int] = {}
        for stored in found:
            if stored.credits is not None:
                given[stored.credits] = given.get(stored.credits, 0) + stored.amount_cents
        return [
            Listed(
                number=stored.number,
                kind=stored.kind,
                customer=stored.customer,
                month=stored.month,
                zone=stored.zone,
                credits=stored.credits,
                cents=stored.amount_cents,
                credited_cents=given.get(stored.number, 0),
                issued_ms=stored.created_ms,
            )
            for stored in found
            if month in (None, stored.month)
        ]

    def show(self, number: str) -> Shown:
        """A document as it was issued. The vault need not be open. Raises `NotFound`, `UsageError`, and `Tampered`
        where something else than gwctl has changed it."""
        with self._database.snapshot() as tx:
            stored = _existing(tx, check_number(number))
            document = verified(tx, stored, self._keys())
            notes = [verified(tx, note, self._keys()) for note in rows.credits_of(tx, stored.number)]
            vouched = Vouched.LOCKED if self._keys() is None else Vouched.SEALED
        return Shown(document, tuple(note for note in notes if isinstance(note, CreditNote)), vouched)

    def verify(self) -> builtins.list[str]:
        """What is wrong with what was issued, in plain words; numbers that are missing, too."""
        with self._database.snapshot() as tx:
            return wrong(tx, self._keys())

    def _read(
        self, tx: Transaction, customer: Customer, name: str, tz: str | None, by_zone: dict[str, MonthRead]
    ) -> MonthRead:
        """The customer's month, once for each time zone. Read before anything is written: what is over and settled does
        not change any more, and a ledger that is large must not wait for it."""
        month = _month(tx, customer, name, tz)
        if self._now() < month.last_ms + SETTLING_MS:
            raise Conflict(
                f"{month.name} is not over yet in {month.zone}",
                hint=f"gwctl statements create SCOPE --month {month.name} --draft shows it without freezing it",
            )
        if month.zone not in by_zone:
            by_zone[month.zone] = MonthRead.of(tx, month)
        return by_zone[month.zone]

    def _freeze(self, tx: Transaction, customer: Customer, month: MonthRead) -> Statement:
        _month(tx, customer, month.month.name, month.month.zone)  # nobody has closed it meanwhile
        if count := month.still_open.get(customer.name, 0):
            what = f"{counted(count, 'attempt')} of {customer.name} from {month.month.name} or before not settled yet"
            raise Conflict(what, hint="try again when they are: gwctl workers list; lost ones end with gwctl serve")
        waiting = rows.waiting(tx, customer.id).get(customer.id, [])
        draft = month.statement(customer.name, waiting, self._now())
        number = _next_number(tx, draft)
        statement = replace(draft, number=number)
        self._issue(tx, customer, CREATED, statement)
        rows.place(tx, [each.id for each in waiting], number)
        return statement

    def _issue(self, tx: Transaction, customer: Customer, action: str, document: Document) -> None:
        rows.insert(tx, customer.id, document)
        stored = rows.find(tx, document.number or "")
        assert stored is not None
        told = {"customer": customer.name, "digest": stored.digest.hex(), "content": json.loads(stored.content)}
        audit.record(tx, self._clock, action, f"{document.kind}:{document.number}", **told)

    def _put_on_balance(self, tx: Transaction, customer: Customer, note: CreditNote) -> str:
        balance = booking.existing(tx, Scope(ScopeKind.CUSTOMER, customer.name), "live")
        reason = f"credit note {note.number}"
        pico = note.amount_cents * PICO_PER_CENT
        booking.booked(tx, self._clock, balance, EntryKind.ADJUST, pico, reason)
        return str(balance.scope)

    def _now(self) -> int:
        return self._clock.now_ms()


def _customer(tx: Transaction, scope: Scope) -> Customer:
    if scope.kind is not ScopeKind.CUSTOMER:
        hint = f"customer:{scope.name.partition('/')[0]}: its statement has a line for each project and model"
        raise UsageError("statements are for customers", hint=hint)
    found = customers.find_customer(tx, scope.name)
    if found is None:
        known = [customer.name for customer in customers.list_customers(tx)]
        raise not_found("customer", scope.name, known, otherwise="gwctl customers list")
    return found


def _month(tx: Transaction, customer: Customer, name: str, tz: str | None) -> Month:
    """The month to be closed, in the customer's time zone. Raises `Conflict` where it is closed, or where the zone is
    another than before: some hours would be charged twice, or never."""
    if (closed := _closed(tx, customer, name)) is not None:
        what = f"{name} of {customer.name} is closed already: {closed.number}"
        raise Conflict(what, hint=f"gwctl statements show {closed.number}")
    before = [stored.zone for stored in rows.of_customer(tx, customer.id) if stored.kind == STATEMENT]
    zone = _zone_name(tz) if tz is not None else before[-1] if before else "UTC"
    if before and zone != before[-1]:
        what = f"the statements of {customer.name} are in {before[-1]}, and months of {zone} would overlap them"
        raise Conflict(what, hint=f"--tz {before[-1]}")
    return Month.of(name, zone)


def _next_number(tx: Transaction, document: Document) -> str:
    return next_number(rows.numbers(tx, GIVING), document.issued_ms, document.zone)


def _zone_name(tz: str) -> str:
    zone_of(tz)
    return "UTC" if tz.upper() == "UTC" else tz


def _closed(tx: Transaction, customer: Customer, month: str) -> Frozen | None:
    return next((stored for stored in rows.of_customer(tx, customer.id) if stored.month == month), None)


def _existing(tx: Transaction, number: str) -> Frozen:
    found = rows.find(tx, number)
    if found is None:
        raise not_found("statement", number, [s.number for s in rows.every(tx)], otherwise="gwctl statements list")
    return found
