"""What may still be spent: budgets and balances of one worker in memory, exact, with what is held meanwhile.

The memory decides and the ledger is its log: a hold is taken before an attempt is put on record, turned into what was
charged when it is settled, and given back when the request has ended. Started anew, the memory is read from totals
(budgets) and from what the ledger booked (balances); holds end with the process. All of it is for the event loop's
thread.

A request belongs to the periods in which it began, and draws on the budgets that there were; a budget whose zone has
changed, or that was deleted and set again, goes on with what requests hold on it. What others have booked, and what
requests took that a new budget found under way, is learned from the ledger a little later (`catch_up`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget
from keyvault.domain.scopes import Payer, ScopeKind, ScopeRef
from keyvault.metering.spent import spent_in
from keyvault.storage import balances, budgets
from keyvault.storage.engine import Transaction

_REMEMBERED = 10_000
"""Which accounts apply to whom, kept for so many; clients name models freely, so the memory is bounded."""


@dataclass(slots=True, eq=False)
class Account:
    """A budget in one of its periods, or a balance."""

    of: Budget | Balance
    limit_pico: int
    spent_pico: int = 0
    """Charged and in doubt."""
    doubt_pico: int = 0
    """Of a balance: how much of that is, or was, in doubt."""
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
        """Of a balance: what is in doubt and was not given back."""
        return max(0, self.doubt_pico - self.of.released_pico) if isinstance(self.of, Balance) else 0


_Applying = tuple[tuple[Account, ...], int]
"""The accounts that apply, and until when: the end of the first of their periods."""
_FOREVER = 1 << 62


class Shortage(Exception):
    """An account does not cover what was to be held."""

    def __init__(self, account: Account) -> None:
        super().__init__(str(account.of.scope))
        self.account = account


@dataclass(slots=True, eq=False)
class Hold:
    """Money reserved for one request on every account that applies to it."""

    accounts: Sequence[Account]
    pico: int = 0

    def grow_to(self, pico: int) -> None:
        """Hold so much. Raises `Shortage`, the one with the least available, and then holds what it held."""
        more = pico - self.pico
        if more <= 0:
            return
        for account in self.accounts:
            if account.limit_pico - account.spent_pico - account.held_pico < more and account.hard:
                hard = [account for account in self.accounts if account.hard]
                raise Shortage(min(hard, key=lambda account: account.available_pico))
        self._add(more)

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
        for account in self.accounts:
            account.spent_pico += pico
            account.doubt_pico += doubt_pico
        self._add(-min(pico, self.pico))

    def release(self) -> None:
        """The request has ended: nothing is held for it any more."""
        self._add(-self.pico)

    def _add(self, pico: int) -> None:
        self.pico += pico
        for account in self.accounts:
            account.held_pico += pico


@dataclass(slots=True)
class _Rules:
    """The budgets and the balance of one scope."""

    budgets: list[Budget] = field(default_factory=list)
    balances: dict[str, Balance] = field(default_factory=dict)
    """By environment."""


class Accounts:
    """Every account of a worker."""

    def __init__(self) -> None:
        self._rules: dict[tuple[ScopeKind, int], _Rules] = {}
        self._budgets: dict[int, Account] = {}
        self._dropped: list[Account] = []
        """Of budgets that were deleted, those that requests still hold something on."""
        self._balances: dict[int, Account] = {}
        self._applying: dict[tuple[int, int, int, str, str], _Applying] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._rules)

    @property
    def every(self) -> Iterable[Account]:
        return (*self._budgets.values(), *self._balances.values())

    def held(self) -> Mapping[str, Mapping[int, int]]:
        """What is held now, by id, as `metering.held` reads it; what nothing is held on is left out."""
        told = {"budgets": self._budgets, "balances": self._balances}
        return {name: {i: a.held_pico for i, a in accounts.items() if a.held_pico} for name, accounts in told.items()}

    def renew(
        self, tx: Transaction, now_ms: int, doubted: Mapping[str, set[int]] | None = None, *, again: bool = False
    ) -> None:
        """Read budgets and balances. What was spent is read for those that are new here, and for those whose period
        has become another; of the others the memory knows better. `doubted`: ids by table that nobody vouches for;
        such an account covers nothing. `again`: others have spent meanwhile, so it is read for all; what requests hold
        here they go on holding."""
        bad = doubted or {}
        rules: dict[tuple[ScopeKind, int], _Rules] = {}
        known = [self._believed(budget, bad.get("budgets", ())) for budget in budgets.every(tx)]
        self._renew_budgets(tx, known, now_ms, again=again)
        for budget in known:
            _rules_of(rules, budget.scope).budgets.append(budget)
            if budget.id in bad.get("budgets", ()):
                self._budgets[budget.id].limit_pico, self._budgets[budget.id].doubted = 0, True
        funded = {}
        for balance in balances.every(tx):
            funded[balance.id] = self._funded(balance, doubted=balance.id in bad.get("balances", ()))
        for gone in self._balances.keys() - funded.keys():  # nobody removes one but somebody who tampers
            funded[gone] = self._balances[gone]
            funded[gone].limit_pico = 0
        for account in funded.values():
            if isinstance(account.of, Balance):
                _rules_of(rules, account.of.scope).balances[account.of.env] = account.of
        self._balances, self._rules = funded, rules
        self._applying.clear()

    def applying(self, payer: Payer, key_id: int, env: str, model: str, now_ms: int) -> tuple[Account, ...]:
        """The accounts that a request draws on: every budget of its key, project and customer, and the balance of the
        project or else of the customer."""
        if not self._rules:
            return ()
        who = (key_id, payer.project_id, payer.customer_id, env, model)
        found = self._applying.get(who)
        if found is None or now_ms >= found[1]:
            if len(self._applying) >= _REMEMBERED:
                self._applying.clear()
            found = self._applying[who] = self._find(*who, now_ms)
        return found[0]

    def about(self, payer: Payer, key_id: int, env: str, now_ms: int) -> tuple[Account, ...]:
        """The accounts that some request of a key could draw on, whatever its model."""
        return self._find(key_id, payer.project_id, payer.customer_id, env, None, now_ms)[0]

    def catch_up(self, spent: Mapping[int, int], at_ms: int) -> None:
        """Learn what the ledger knows to be spent of budgets in their periods at that moment, by budget id. It may lag
        behind by what waits to be written, so it never lessens anything."""
        for account in map(self._budgets.get, spent):
            if account is not None and isinstance(account.of, Budget) and _within(account, at_ms):
                account.spent_pico = max(account.spent_pico, spent[account.of.id])

    def _find(
        self, key_id: int, project_id: int, customer_id: int, env: str, model: str | None, now_ms: int
    ) -> _Applying:
        """`model`: None for every one."""
        scopes = ((ScopeKind.KEY, key_id), (ScopeKind.PROJECT, project_id), (ScopeKind.CUSTOMER, customer_id))
        rules = [self._rules[scope] for scope in scopes if scope in self._rules]
        ruled = [b for each in rules for b in each.budgets if b.env == env and self._covers(b, model)]
        found = [self._current(budget, now_ms) for budget in ruled]
        until_ms = min((a.until_ms for a in found if a.until_ms is not None), default=_FOREVER)
        balance = next((each.balances[env] for each in rules if env in each.balances), None)
        return (*found, *(() if balance is None else (self._balances[balance.id],))), until_ms

    def _covers(self, budget: Budget, model: str | None) -> bool:
        """Of a doubted one nobody knows what it was about: every model."""
        return model is None or self._budgets[budget.id].doubted or budget.covers(model)

    def _current(self, budget: Budget, now_ms: int) -> Account:
        account = self._budgets[budget.id]
        if account.until_ms is not None and now_ms >= account.until_ms:
            account = self._budgets[budget.id] = _opened(budget, 0, now_ms)  # nothing was spent in it before now
        return account

    def _funded(self, balance: Balance, *, doubted: bool) -> Account:
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

    def _believed(self, budget: Budget, doubted: Collection[int]) -> Budget:
        """Of a doubted budget nothing is believed that was not known before."""
        account = self._budgets.get(budget.id) if budget.id in doubted else None
        return account.of if account is not None and isinstance(account.of, Budget) else budget

    def _renew_budgets(self, tx: Transaction, known: Sequence[Budget], now_ms: int, *, again: bool) -> None:
        before = {_place(account.of): account for account in (*self._dropped, *self._budgets.values())}
        fresh = [budget for budget in known if again or not self._goes_on(budget, now_ms)]
        spent = spent_in(tx, fresh, now_ms)
        unwritten = _unwritten(tx, [before[place] for place in map(_place, fresh) if place in before], now_ms)
        accounts = {budget.id: self._budgets[budget.id] for budget in known if budget.id not in spent}
        for budget in fresh:
            place = _place(budget)
            pico = spent[budget.id] + unwritten.get(place, 0)
            accounts[budget.id] = _begun(budget, before.get(place), pico, now_ms)
        for budget in known:
            account = accounts[budget.id]
            account.of, account.limit_pico, account.doubted = budget, budget.amount_pico, False
        ended = before.keys() - map(_place, known)
        self._budgets, self._dropped = accounts, [before[place] for place in ended if before[place].held_pico]

    def _goes_on(self, budget: Budget, now_ms: int) -> bool:
        """Whether memory knows what is spent of it in its present period."""
        account = self._budgets.get(budget.id)
        if account is None or not isinstance(account.of, Budget):
            return False
        same = (_place(account.of), account.of.zone) == (_place(budget), budget.zone)
        return same and (account.until_ms is None or now_ms < account.until_ms)


def _rules_of(rules: dict[tuple[ScopeKind, int], _Rules], scope: ScopeRef) -> _Rules:
    return rules.setdefault((scope.kind, scope.id), _Rules())


def _place(of: Budget | Balance) -> Hashable:
    """What makes a budget the same one, though it was deleted and set again."""
    return of.scope.kind, of.scope.id, of.env, *((of.model, of.period) if isinstance(of, Budget) else ())


def _unwritten(tx: Transaction, accounts: Iterable[Account], now_ms: int) -> Mapping[Hashable, int]:
    """What was spent that the ledger is still to write, by place."""
    rules = {a.of.id: (a.of, a) for a in accounts if isinstance(a.of, Budget) and _within(a, now_ms)}
    written = spent_in(tx, [budget for budget, _ in rules.values()], now_ms)
    return {_place(budget): max(0, account.spent_pico - written[i]) for i, (budget, account) in rules.items()}


def _begun(budget: Budget, before: Account | None, spent_pico: int, now_ms: int) -> Account:
    """The account of a budget in a window that is new to it. Requests that may belong to that window too hold on: they
    have the account that there was."""
    account = _opened(budget, spent_pico, now_ms)
    if before is None or (before.until_ms is not None and before.until_ms <= account.from_ms):
        return account
    before.spent_pico, before.from_ms, before.until_ms = spent_pico, account.from_ms, account.until_ms
    return before


def _opened(budget: Budget, spent_pico: int, now_ms: int) -> Account:
    start, end = budget.period.window(now_ms, budget.zone)
    return Account(budget, budget.amount_pico, spent_pico, from_ms=start, until_ms=end)


def _within(account: Account, at_ms: int) -> bool:
    return account.from_ms <= at_ms and (account.until_ms is None or at_ms < account.until_ms)
