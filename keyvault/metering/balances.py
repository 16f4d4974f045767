"""Prepaid balances, as people handle them: topped up, corrected, given back what was in doubt, shown.

Every change is one entry that is never edited, chained and vouched for, in one transaction with its audit entry; the
running proxy acts by it at the next request. A payment that is named by an id is booked once, however often it is told.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from keyvault import audit
from keyvault.clock import Clock, to_ms
from keyvault.domain.balances import Balance, Entry, EntryKind
from keyvault.domain.budgets import check_amount
from keyvault.domain.names import exact_duration
from keyvault.domain.scopes import Scope
from keyvault.errors import Conflict, UsageError
from keyvault.metering import booking
from keyvault.metering.booking import check_payment, check_reason, existing
from keyvault.metering.examining import Examiner
from keyvault.metering.held import held_on
from keyvault.metering.resealing import resealed
from keyvault.money import CURRENCY, format_usd
from keyvault.storage import balances as rows
from keyvault.storage import epochs, scopes
from keyvault.storage.engine import Database, Transaction

if TYPE_CHECKING:
    from keyvault.metering.remembered import Remembered
    from keyvault.metering.spending import Spending


@dataclass(frozen=True, slots=True)
class Standing:
    """A balance as it stands."""

    balance: Balance
    held_pico: int | None
    """For requests under way, as running workers told last; None where no worker runs."""

    @property
    def available_pico(self) -> int:
        """What a new request may draw on."""
        return self.balance.available_pico - (self.held_pico or 0)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one balance holds."""

    name: str
    tampered: str | None = None
    """What something else than gwctl has changed, in plain words; it covers nothing then."""
    differs: str | None = None
    """How what was taken differs from the attempts on record."""


@dataclass(frozen=True, slots=True)
class Booked:
    """One entry, and how the balance stands with it."""

    entry: Entry
    standing: Standing
    fresh: bool
    """False: the same payment had been booked before, and nothing was done."""


class Balances:
    """The service behind `gwctl balances`."""

    def __init__(
        self, database: Database, clock: Clock, spending: Callable[[], Spending], remembered: Remembered
    ) -> None:
        """`spending` is asked for when first needed, `remembered` what was seen by whoever served last."""
        self._database = database
        self._clock = clock
        self._spending = spending
        self._remembered = remembered

    def top_up(
        self, scope: Scope, amount_pico: int, reason: str, *, env: str = "live", payment: str | None = None
    ) -> Booked:
        """Put money in; the first time makes the balance. Raises `NotFound`, `UsageError`, `Conflict`."""
        if check_amount(amount_pico) <= 0:
            raise UsageError("a top-up is more than nothing", hint="gwctl balances adjust SCOPE -2.00 --reason TEXT")
        reason, payment = check_reason(reason), check_payment(payment)
        with self._database.change() as tx:
            ref = booking.payer_of(tx, scope)
            balance = booking.opened(tx, ref, env, self._clock.now(), self._spending())
            return self._book(tx, balance, EntryKind.TOP_UP, amount_pico, reason, payment)

    def adjust(
        self, scope: Scope, amount_pico: int, reason: str, *, env: str = "live", payment: str | None = None
    ) -> Booked:
        """Correct a balance by an amount of either sign. Raises `NotFound`, `UsageError`, `Conflict`."""
        if not check_amount(abs(amount_pico)):
            raise UsageError("an adjustment is of more or less than nothing")
        reason, payment = check_reason(reason), check_payment(payment)
        with self._database.change() as tx:
            balance = existing(tx, scope, env)
            return self._book(tx, balance, EntryKind.ADJUST, amount_pico, reason, payment)

    def release(
        self,
        scope: Scope,
        reason: str,
        amount_pico: int | None = None,
        *,
        env: str = "live",
        older_than: timedelta | None = None,
    ) -> Booked:
        """Give back what is in doubt, all of it unless told how much; with `older_than` only by attempts that began so
        long ago, what was given back before having been the oldest. Raises `NotFound`, `UsageError`, and `Conflict`
        where less is in doubt."""
        reason = check_reason(reason)
        with self._database.change() as tx:
            balance = existing(tx, scope, env)
            doubt, since = balance.in_doubt_pico, ""
            if older_than is not None:
                newer = rows.doubted_since(tx, balance.id, to_ms(self._clock.now() - older_than))
                doubt, since = max(0, doubt - newer), f" for longer than {exact_duration(older_than)}"
            wanted = doubt if amount_pico is None else amount_pico
            if not 0 < wanted <= doubt:
                text = f"in doubt{since} on the balance of {balance.scope} is {format_usd(doubt)} {CURRENCY}"
                raise Conflict(text, hint="gwctl balances list")
            return self._book(tx, balance, EntryKind.RELEASE, wanted, reason, None)

    def set_low(self, scope: Scope, low_pico: int | None, *, env: str = "live") -> Standing:
        """Below which an alert is raised; None: never. Raises `NotFound`, `UsageError`."""
        with self._database.change() as tx:
            balance = existing(tx, scope, env)
            rows.set_low(tx, balance.id, None if low_pico is None else check_amount(low_pico))
            told = None if low_pico is None else format_usd(low_pico)
            audit.record(tx, self._clock, "balances.update", str(balance.scope), env=env, low=told)
            epochs.bump(tx, "money")
            return self._standing(tx, existing(tx, scope, env))

    def show(self, scope: Scope, env: str = "live") -> Standing:
        """Raises `NotFound`, `UsageError`."""
        with self._database.read() as tx:
            return self._standing(tx, existing(tx, scope, env))

    def list(self) -> Sequence[Standing]:
        """Every balance, in the order in which they were made, but for those of what was deleted."""
        with self._database.read() as tx:
            held, gone = held_on(tx, "balances", self._clock.now_ms()), scopes.deleted(tx)
            kept = (each for each in rows.every(tx) if (each.scope.kind, each.scope.id) not in gone)
            return [_standing(balance, held) for balance in kept]

    def history(
        self, scope: Scope, env: str = "live", *, limit: int = 100, before: int | None = None
    ) -> builtins.list[Entry]:
        """The newest entries first; those before a number for the next page. Raises `NotFound`, `UsageError`."""
        with self._database.read() as tx:
            return rows.page(tx, existing(tx, scope, env).id, before, limit)

    def verify(self) -> builtins.list[Verdict]:
        """Whether each balance holds: its entries, what was taken from it, and the ledger's own rows, all of which are
        read. Changes nothing. Raises `Locked`."""
        spending, remembered = self._spending(), self._remembered.read()
        examiner = Examiner(spending, remembered)
        doubts = examiner.look(self._database.snapshot, whole=True)
        with self._database.snapshot() as tx:
            attempted = rows.attempted(tx)
            found = [_verdict(b, doubts.get(b.id), attempted.get(b.id, (0, 0))) for b in rows.every(tx)]
        gone = "was there before, and something else than gwctl has removed it"
        return [*found, *(Verdict(name, f"the balance of {name} {gone}") for name in sorted(examiner.missing))]

    def reseal(self, scope: Scope, reason: str, *, env: str = "live") -> Standing:
        """Say that the entries of a balance hold as they are, after somebody has looked. As spent counts the most that
        is known: by the ledger's row where that is sound, by what was seen before, by the attempts on record. One that
        was seen before and is gone is made again, empty.

        Raises `NotFound`, `UsageError`, and `Tampered` where an entry cannot be read.
        """
        reason = check_reason(reason)
        with self._database.change() as tx:
            ref, seen = booking.payer_of(tx, scope), self._remembered.read()
            if f"{ref} {env}" in seen:
                booking.opened(tx, ref, env, self._clock.now(), self._spending())
            balance = existing(tx, scope, env)
            resealed(tx, balance, self._spending(), seen.get(balance.name))
            now = existing(tx, scope, env)
            told = {"was": format_usd(balance.available_pico), "available": format_usd(now.available_pico)}
            audit.record(tx, self._clock, "balances.reseal", str(balance.scope), env=env, reason=reason, **told)
            epochs.bump(tx, "money")
            return self._standing(tx, now)

    def _book(
        self, tx: Transaction, balance: Balance, kind: EntryKind, amount_pico: int, reason: str, payment: str | None
    ) -> Booked:
        before = booking.paid_before(tx, balance, kind, amount_pico, payment)
        if before is not None:
            return Booked(before, self._standing(tx, balance), fresh=False)
        now, entry = booking.booked(tx, self._clock, balance, kind, amount_pico, reason, payment)
        return Booked(entry, self._standing(tx, now), fresh=True)

    def _standing(self, tx: Transaction, balance: Balance) -> Standing:
        return _standing(balance, held_on(tx, "balances", self._clock.now_ms()))


def _standing(balance: Balance, held: Mapping[int, int] | None) -> Standing:
    return Standing(balance, None if held is None else held.get(balance.id, 0))


def _verdict(balance: Balance, tampered: str | None, attempted: tuple[int, int]) -> Verdict:
    booked = balance.charged_pico, balance.doubt_pico
    if tampered is not None or booked == attempted:
        return Verdict(balance.name, tampered)
    told = (f"{format_usd(charged)} charged and {format_usd(doubt)} in doubt" for charged, doubt in (booked, attempted))
    return Verdict(balance.name, differs="; by the attempts on record ".join(told))
