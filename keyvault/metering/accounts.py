"""What may still be spent: budgets and balances of one worker in memory, exact, with what is held meanwhile.

The memory decides and the ledger is its log: a hold is taken before an attempt is put on record, turned into what was
charged when it is settled, and given back when the request has ended. Started anew, the memory is read from totals
(budgets) and from what the ledger booked (balances); holds end with the process. All of it is for the event loop's
thread; what the rules say, and what was spent before, somebody else reads (`renewing`).

A request belongs to the periods in which it began, and draws on the budgets that there were; a budget whose zone has
changed, or that was deleted and set again, goes on with what requests hold on it. A clock that is put back finds the
period that it was in before as it was. What others have booked, and what
requests took that a new budget found under way, is learned from the ledger a little later (`catch_up`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget
from keyvault.domain.scopes import Payer, ScopeKind, ScopeRef
from keyvault.metering.account import Account, begun, opened, place, within
from keyvault.metering.spent import NOTHING, Spent

_REMEMBERED = 10_000
"""Which accounts apply to whom, kept for so many; clients name models freely, so the memory is bounded."""


_FOREVER = 1 << 62


class Applying(Struct, frozen=True):
    """The accounts that requests of one kind draw on."""

    accounts: tuple[Account, ...]
    """Budgets, then the balance."""
    from_ms: int
    until_ms: int
    """Between the two all of them are in these periods."""
    hard: bool
    """Whether one of them must not be overspent."""
    balance_id: int | None


NOTHING_APPLIES: Final = Applying((), -_FOREVER, _FOREVER, False, None)


@dataclass(slots=True)
class _Rules:
    """The budgets and the balance of one scope."""

    budgets: dict[int, Budget] = field(default_factory=dict)
    """By id."""
    balances: dict[str, Balance] = field(default_factory=dict)
    """By environment."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What of the rules about money is not as it was."""

    budgets: Sequence[Budget] = ()
    balances: Sequence[Balance] = ()
    removed: Collection[int] = ()
    """Ids of budgets that were deleted."""
    missing: Collection[int] = ()
    """Ids of balances that are gone, and cover nothing: nobody removes one but somebody who tampers."""
    doubted_budgets: Collection[int] = ()
    """Ids of those that nobody vouches for."""
    doubted_balances: Collection[int] = ()
    deleted: Collection[tuple[ScopeKind, int]] = ()
    """The customers and projects that are no more, whose balances nobody can use."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the ledger knows to be spent."""

    spent: Mapping[int, Spent] = field(default_factory=dict)
    """By id, of budgets in periods that are new to the memory."""
    written: Mapping[Hashable, Spent] = field(default_factory=dict)
    """By place, of the accounts that these budgets had before."""

    def of(self, budget: Budget) -> tuple[Spent, Spent | None]:
        """Of one budget, and of the account that it had."""
        return self.spent[budget.id], self.written.get(place(budget))


class Accounts:
    """Every account of a worker."""

    def __init__(self) -> None:
        self._rules: dict[tuple[ScopeKind, int], _Rules] = {}
        self._budgets: dict[int, Account] = {}
        self._left: dict[int, Account] = {}
        """By budget, the account of the period that the clock was in before, should it be put back."""
        self._dropped: list[Account] = []
        """Of budgets that were deleted, those that requests still hold something on."""
        self._balances: dict[int, Account] = {}
        self._deleted: Collection[tuple[ScopeKind, int]] = ()
        self._applying: dict[tuple[int, int, int, str, str], Applying] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._rules)

    @property
    def every(self) -> Iterable[Account]:
        """All but the balances of what was deleted."""
        balances = (a for a in self._balances.values() if (a.of.scope.kind, a.of.scope.id) not in self._deleted)
        return (*self._budgets.values(), *balances)

    def held(self) -> Mapping[str, Mapping[int, int]]:
        """What is held now, by id, as `metering.held` reads it; what nothing is held on is left out."""
        told = {"budgets": self._budgets, "balances": self._balances}
        return {name: {i: a.held_pico for i, a in accounts.items() if a.held_pico} for name, accounts in told.items()}

    def known(self) -> Sequence[Account]:
        """The accounts of budgets, also of those that are gone and that requests still hold something on."""
        return (*self._dropped, *self._budgets.values())

    def renew(self, changes: Changes, counted: Counted, now_ms: int) -> None:
        """Go by changed rules from now on. Of budgets that are the ones they were the memory knows what is spent; of
        the others it was `counted`."""
        before = {budget.id: self._before(budget) for budget in changes.budgets if budget.id in counted.spent}
        self._deleted = changes.deleted
        self._drop(changes.removed)
        for budget in changes.budgets:
            self._left.pop(budget.id, None)
            if budget.id in changes.doubted_budgets:
                self._doubt(budget)
            else:
                if budget.id in counted.spent:
                    self._budgets[budget.id] = begun(budget, before[budget.id], *counted.of(budget), now_ms)
                account = self._budgets[budget.id]
                account.of, account.limit_pico, account.doubted = budget, budget.amount_pico, False
                self._rules_of(budget.scope).budgets[budget.id] = budget
        going_on = {id(account) for account in self._budgets.values()} if self._dropped else ()
        self._dropped = [each for each in self._dropped if each.held_pico and id(each) not in going_on]
        for balance in changes.balances:
            account = self._balances[balance.id] = self._funded(balance, balance.id in changes.doubted_balances)
            assert isinstance(account.of, Balance)
            self._rules_of(account.of.scope).balances[account.of.env] = account.of
        for gone in self._balances.keys() & changes.missing:
            self._balances[gone].limit_pico = 0
        self._applying.clear()

    def applying(self, payer: Payer, key_id: int, env: str, model: str, now_ms: int) -> Applying:
        """The accounts that a request draws on: every budget of its key, project and customer, then the balance of the
        project or else of the customer."""
        if not self._rules:
            return NOTHING_APPLIES
        who = (key_id, payer.project_id, payer.customer_id, env, model)
        found = self._applying.get(who)
        if found is None or not found.from_ms <= now_ms < found.until_ms:
            if len(self._applying) >= _REMEMBERED:
                self._applying.clear()
            found = self._applying[who] = self._find(*who, now_ms)
        return found

    def about(self, payer: Payer, key_id: int, env: str, now_ms: int) -> tuple[Account, ...]:
        """The accounts that some request of a key could draw on, whatever its model."""
        return self._find(key_id, payer.project_id, payer.customer_id, env, None, now_ms).accounts

    def catch_up(self, spent: Mapping[int, Spent], at_ms: int) -> None:
        """Learn what the ledger knows to be spent of budgets in their periods at that moment, by budget id. It may lag
        behind by what waits to be written, so it never lessens anything."""
        for account in map(self._budgets.get, spent):
            if account is not None and isinstance(account.of, Budget) and within(account, at_ms):
                account.spent_pico = max(account.spent_pico, spent[account.of.id].pico)
                account.doubt_pico = max(account.doubt_pico, spent[account.of.id].doubt_pico)

    def _find(
        self, key_id: int, project_id: int, customer_id: int, env: str, model: str | None, now_ms: int
    ) -> Applying:
        """`model`: None for every one."""
        scopes = ((ScopeKind.KEY, key_id), (ScopeKind.PROJECT, project_id), (ScopeKind.CUSTOMER, customer_id))
        rules = [self._rules[scope] for scope in scopes if scope in self._rules]
        ruled = [b for each in rules for b in each.budgets.values() if b.env == env and self._covers(b, model)]
        found = [self._current(budget, now_ms) for budget in ruled]
        from_ms = max((a.from_ms for a in found), default=-_FOREVER)
        until_ms = min((a.until_ms for a in found if a.until_ms is not None), default=_FOREVER)
        balance = next((each.balances[env] for each in rules if env in each.balances), None)
        accounts = (*found, *(() if balance is None else (self._balances[balance.id],)))
        hard = any(account.hard for account in accounts)
        return Applying(accounts, from_ms, until_ms, hard, None if balance is None else balance.id)

    def _covers(self, budget: Budget, model: str | None) -> bool:
        """Of a doubted one nobody knows what it was about: every model."""
        return model is None or self._budgets[budget.id].doubted or budget.covers(model)

    def _current(self, budget: Budget, now_ms: int) -> Account:
        account = self._budgets[budget.id]
        if account.doubted or within(account, now_ms):
            return account
        left = self._left.get(budget.id)
        if left is None or not within(left, now_ms):
            left = opened(budget, NOTHING, now_ms)  # nothing was spent in it before now, as far as memory knows
        self._left[budget.id], self._budgets[budget.id] = account, left
        return left

    def _funded(self, balance: Balance, doubted: bool) -> Account:
        """The account of a balance. Of a doubted one nothing is believed that was not known before; else the ledger may
        know of more that was spent: what was lost, and what others have booked."""
        account = self._balances.get(balance.id) or Account(balance, 0)
        account.doubted = doubted
        if doubted:
            account.limit_pico = 0
        else:
            account.of, account.limit_pico = balance, balance.funded_pico
            account.spent_pico = max(account.spent_pico, balance.charged_pico + balance.doubt_pico)
            account.doubt_pico = max(account.doubt_pico, balance.doubt_pico)
        return account

    def _before(self, budget: Budget) -> Account | None:
        """The account that a budget had, though it was deleted and set again."""
        rules = self._rules.get((budget.scope.kind, budget.scope.id))
        there = [self._budgets[each] for each in rules.budgets] if rules is not None else []
        return next((each for each in (*there, *self._dropped) if place(each.of) == place(budget)), None)

    def _drop(self, removed: Iterable[int]) -> None:
        for budget_id in self._budgets.keys() & set(removed):
            account = self._budgets.pop(budget_id)
            self._left.pop(budget_id, None)
            self._dropped.append(account)
            scope = account.of.scope.kind, account.of.scope.id
            rules = self._rules[scope]
            del rules.budgets[budget_id]
            if not rules.budgets and not rules.balances:
                del self._rules[scope]

    def _doubt(self, budget: Budget) -> None:
        """Of a doubted budget nothing is believed that was not known before; it covers nothing."""
        account = self._budgets.get(budget.id)
        if account is None:
            account = self._budgets[budget.id] = Account(budget, 0, until_ms=0)
            self._rules_of(budget.scope).budgets[budget.id] = budget
        account.limit_pico, account.doubted = 0, True

    def _rules_of(self, scope: ScopeRef) -> _Rules:
        return self._rules.setdefault((scope.kind, scope.id), _Rules())
