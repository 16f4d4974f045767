"""Closing a month: numbers a customer's statement and freezes it, once; what is corrected later is a credit note or a
line of the next one.

Numbers are one gapless sequence a year for statements and credit notes. Each is vouched for by the vault, and on record
in the audit log with all that it says, so that a restore brings it back as it was.
"""

from __future__ import annotations

import builtins
import json
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from keyvault import audit
from keyvault.clock import Clock
from keyvault.domain.balances import EntryKind
from keyvault.domain.budgets import check_amount
from keyvault.domain.names import not_found
from keyvault.domain.reports import LIVE
from keyvault.domain.scopes import Scope, ScopeKind
from keyvault.domain.statements import (
    PICO_PER_CENT,
    CreditNote,
    Document,
    Month,
    Statement,
    check_number,
    decimal,
)
from keyvault.errors import Conflict, NotFound, UsageError
from keyvault.metering import booking
from keyvault.metering.booking import check_reason
from keyvault.metering.closing import MonthRead
from keyvault.metering.freezing import Months, Numbers, month_of
from keyvault.metering.issued import ADJUSTED, CREATED, CREDITED, OnRecord, Vouched, verified, wrong
from keyvault.money import CURRENCY, format_usd
from keyvault.storage import balances, customers
from keyvault.storage import closing as rows
from keyvault.storage.closing import Frozen, NewAdjustment
from keyvault.storage.engine import TURN_MS, Database, Transaction

if TYPE_CHECKING:
    from keyvault.domain.keys import Customer
    from keyvault.vault.manifest import SealKeys

AT_ONCE: Final = 8
"""Statements that one transaction freezes: who else writes waits for no more."""
TURN_SECONDS: Final = 2 * TURN_MS / 1000
"""Between two such transactions: whoever waits asks in it whether it is his turn."""


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
    changed: bool
    """By something else than gwctl: it is not what was issued."""

    @classmethod
    def issued(cls, statement: Statement) -> Listed:
        """One that was frozen just now."""
        return cls(
            number=statement.number or "",
            kind=statement.kind,
            customer=statement.customer,
            month=statement.month,
            zone=statement.zone,
            credits=None,
            cents=statement.total_cents,
            credited_cents=0,
            issued_ms=statement.issued_ms,
            changed=False,
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """A document that is as it was issued."""

    document: Document
    credit_notes: tuple[CreditNote, ...]
    vouched: Vouched


class Statements:
    """The service behind `gwctl statements`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        keys: Callable[[], SealKeys | None],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`keys`: those of seals, None while the vault is locked."""
        self._database = database
        self._clock = clock
        self._keys = keys
        self._sleep = sleep

    def check(self, scope: Scope, month: str, tz: str | None = None) -> None:
        """Raises what `create` would, before anybody is asked whether he is sure."""
        with self._database.snapshot() as tx:
            Months(tx, self._now()).close(_customer(tx, scope), month, tz)

    def create(self, scope: Scope, month: str, tz: str | None = None) -> Statement:
        """Close a customer's month. `tz`: as on the customer's statements before, or UTC.

        Raises `NotFound`, `UsageError`, and `Conflict` for a month that is closed, not over, or not settled.
        """
        numbers = Numbers()
        with self._database.snapshot() as tx:
            numbers.read(tx)
            read = Months(tx, self._now()).close(_customer(tx, scope), month, tz)
        with self._database.change() as tx:
            numbers.read(tx)
            return self._freeze(tx, numbers, _customer(tx, scope), read)

    def create_all(self, month: str, tz: str | None = None) -> builtins.list[Statement]:
        """Close the month of every customer of whom there is anything to say and whose month is not closed yet. Where
        one may not be closed, none is; what breaks off later leaves those that are frozen, and the rest is closed by
        doing the same again. Raises as `create` does."""
        numbers = Numbers()
        with self._database.snapshot() as tx:
            numbers.read(tx)
            months, found = Months(tx, self._now()), []
            waiting: dict[str, Collection[int]] = {}
            for customer in customers.list_customers(tx):
                if (read := months.find(customer, month, tz)) is None:
                    continue
                if read.month.zone not in waiting:
                    waiting[read.month.zone] = rows.waiting(tx, read.month.last_ms).keys()
                if customer.id in waiting[read.month.zone] or read.concerns(customer.name):
                    found.append((customer, read))
        made: builtins.list[Statement] = []
        for at in range(0, len(found), AT_ONCE):
            if at:
                self._sleep(TURN_SECONDS)
            with self._database.change() as tx:
                numbers.read(tx)
                made += [self._freeze(tx, numbers, *each) for each in found[at : at + AT_ONCE]]
        return made

    def draft(self, scope: Scope, month: str, tz: str | None = None) -> Statement:
        """What the statement would say now, frozen nowhere; the month need not be over. Raises `NotFound`,
        `UsageError`, `Conflict` for a month that is closed."""
        with self._database.snapshot() as tx:
            customer = _customer(tx, scope)
            found = MonthRead.of(tx, month_of(customer, rows.periods(tx, customer.id), month, tz))
            waiting = rows.waiting(tx, found.month.last_ms, customer.id).get(customer.id, [])
            return found.statement(customer.name, waiting, self._now())

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
            numbers = Numbers()
            numbers.read(tx)
            note = replace(note, number=numbers.next(note))
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
        """Statements and credit notes in the order of issue; of a month also the credit notes for its statements.
        Raises `NotFound`, `UsageError`."""
        if month is not None:
            Month.of(month, "UTC")
        with self._database.snapshot() as tx:
            found = rows.every(tx) if scope is None else rows.of_customer(tx, _customer(tx, scope).id)
            record = OnRecord.of(tx, found, self._keys())
        given: Counter[str] = Counter()
        for stored in found:
            if stored.credits is not None:
                given[stored.credits] += stored.amount_cents
        of_month = {stored.number for stored in found if month in (None, stored.month)}
        return [
            Listed(
                number=stored.number,
                kind=stored.kind,
                customer=stored.customer,
                month=stored.month,
                zone=stored.zone,
                credits=stored.credits,
                cents=stored.amount_cents,
                credited_cents=given[stored.number],
                issued_ms=stored.created_ms,
                changed=not record.fits(stored),
            )
            for stored in found
            if stored.number in of_month or stored.credits in of_month
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

    def _freeze(self, tx: Transaction, numbers: Numbers, customer: Customer, read: MonthRead) -> Statement:
        """What is over and settled does not change any more, so it was read before: nobody waits for a large ledger."""
        month = read.month
        month_of(customer, rows.periods(tx, customer.id), month.name, month.zone)  # nobody has closed it meanwhile
        waiting = rows.waiting(tx, month.last_ms, customer.id).get(customer.id, [])
        draft = read.statement(customer.name, waiting, self._now())
        statement = replace(draft, number=numbers.next(draft))
        self._issue(tx, customer, CREATED, statement)
        rows.place(tx, [each.id for each in waiting], statement.number or "")
        return statement

    def _issue(self, tx: Transaction, customer: Customer, action: str, document: Document) -> None:
        rows.insert(tx, customer.id, document)
        stored = rows.find(tx, document.number or "")
        assert stored is not None
        told = {"customer": customer.name, "digest": stored.digest.hex(), "content": json.loads(stored.content)}
        audit.record(tx, self._clock, action, f"{document.kind}:{document.number}", **told)

    def _put_on_balance(self, tx: Transaction, customer: Customer, note: CreditNote) -> str:
        scope = Scope(ScopeKind.CUSTOMER, customer.name)
        if not any(each.env == LIVE and str(each.scope) == str(scope) for each in balances.every(tx)):
            hint = "the same without --to-balance: it is off what is due then"
            raise NotFound(f"{customer.name} has no balance to put it on", hint=hint)
        balance = booking.existing(tx, scope, LIVE)
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


def _existing(tx: Transaction, number: str) -> Frozen:
    found = rows.find(tx, number)
    if found is None:
        raise not_found("statement", number, [s.number for s in rows.every(tx)], otherwise="gwctl statements list")
    return found
