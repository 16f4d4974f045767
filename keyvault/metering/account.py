"""One budget in one of its periods, or one balance, and what requests hold on it.

For the event loop's thread.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from msgspec import Struct

from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget
from keyvault.metering.spent import Spent


@dataclass(slots=True, eq=False)
class Account:
    """A budget in one of its periods, or a balance."""

    of: Budget | Balance
    limit_pico: int
    spent_pico: int = 0
    """Charged and in doubt."""
    doubt_pico: int = 0
    """How much of that is in doubt; of a balance also what was and is not any more."""
    held_pico: int = 0
    from_ms: int = 0
    until_ms: int | None = None
    """The first millisecond after its period; None: it has no end."""
    doubted: bool = False
    """Nobody vouches for it: it covers nothing, whatever it says."""

    @property
    def hard(self) -> bool:
        return self.doubted or not isinstance(self.of, Budget) or self.of.hard

    @property
    def available_pico(self) -> int:
        return self.limit_pico - self.spent_pico - self.held_pico

    @property
    def in_doubt_pico(self) -> int:
        """What is in doubt and was not given back."""
        return max(0, self.doubt_pico - (self.of.released_pico if isinstance(self.of, Balance) else 0))


class Shortage(Exception):
    """An account does not cover what was to be held."""

    def __init__(self, account: Account) -> None:
        super().__init__(str(account.of.scope))
        self.account = account


class Hold(Struct, eq=False):
    """Money reserved for one request on every account that applies to it."""

    accounts: Sequence[Account]
    pico: int = 0

    def grow_to(self, pico: int) -> None:
        """Hold so much. Raises `Shortage`, the one with the least available, and then holds what it held."""
        more = pico - self.pico
        if more <= 0:
            return
        for account in self.accounts:
            held = account.held_pico + more
            if account.limit_pico - account.spent_pico < held and account.hard:
                raise Shortage(self._let_go(account, more))
            account.held_pico = held
        self.pico = pico

    def available_pico(self) -> int | None:
        """The most that may be held, what is held already included; None where nothing bounds it."""
        least = min((account.available_pico for account in self.accounts if account.hard), default=None)
        return None if least is None else least + self.pico

    def doubt(self, charged_pico: int, pico: int) -> int:
        """How much of a doubt counts, beside what is charged. A provider may say that it took any amount: from a
        balance, where nothing but a person gives it back, goes no more than what is held and what is available."""
        for account in self.accounts:
            if isinstance(account.of, Balance):
                pico = min(pico, max(0, self.pico + max(0, account.available_pico) - charged_pico))
        return pico

    def spend(self, pico: int, doubt_pico: int = 0) -> None:
        """Turn part of the hold into what was spent, some of it in doubt; what goes beyond the hold is spent all the
        same."""
        held = pico if pico < self.pico else self.pico
        self.pico -= held
        for account in self.accounts:
            account.spent_pico += pico
            account.held_pico -= held
        if doubt_pico:
            for account in self.accounts:
                account.doubt_pico += doubt_pico

    def release(self) -> None:
        """The request has ended: nothing is held for it any more."""
        held = self.pico
        if not held:
            return
        self.pico = 0
        for account in self.accounts:
            account.held_pico -= held

    def _let_go(self, short: Account, more: int) -> Account:
        """Hold so much less on those before the one that is short; the hard one with the least available."""
        for account in self.accounts:
            if account is short:
                break
            account.held_pico -= more
        hard = [account for account in self.accounts if account.hard]
        return min(hard, key=lambda account: account.available_pico)


def place(of: Budget | Balance) -> Hashable:
    """What makes a budget the same one, though it was deleted and set again."""
    return of.scope.kind, of.scope.id, of.env, *((of.model, of.period) if isinstance(of, Budget) else ())


def goes_on(account: Account | None, budget: Budget, now_ms: int) -> bool:
    """Whether memory knows what is spent of a budget in its present period."""
    if account is None or not isinstance(account.of, Budget) or account.of.id != budget.id:
        return False
    same = (place(account.of), account.of.zone) == (place(budget), budget.zone)
    return same and within(account, now_ms)


def begun(budget: Budget, before: Account | None, spent: Spent, written: Spent | None, now_ms: int) -> Account:
    """The account of a budget in a window that is new to it. What was spent and is still to be written counts, too.
    Requests that may belong to that window hold on: they have the account that there was. `spent`: as the ledger knows
    it, `written`: what it knows of the account before."""
    if before is not None and written is not None:
        doubt = max(0, before.doubt_pico - written.doubt_pico)
        more = max(0, before.spent_pico - written.pico)
        spent = Spent(spent.charge_pico + more - min(more, doubt), spent.doubt_pico + min(more, doubt))
    account = opened(budget, spent, now_ms)
    if before is None or (before.until_ms is not None and before.until_ms <= account.from_ms):
        return account
    before.spent_pico, before.doubt_pico = account.spent_pico, account.doubt_pico
    before.from_ms, before.until_ms = account.from_ms, account.until_ms
    return before


def opened(budget: Budget, spent: Spent, now_ms: int) -> Account:
    start, end = budget.period.window(now_ms, budget.zone)
    return Account(budget, budget.amount_pico, spent.pico, spent.doubt_pico, from_ms=start, until_ms=end)


def within(account: Account, at_ms: int) -> bool:
    return account.from_ms <= at_ms and (account.until_ms is None or at_ms < account.until_ms)
