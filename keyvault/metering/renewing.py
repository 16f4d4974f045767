"""Reads what was spent of budgets that are new to the memory, or in another period: in any thread, beside serving."""

from __future__ import annotations

from collections.abc import Iterable

from keyvault.domain.budgets import Budget
from keyvault.metering.account import Account, goes_on, place, within
from keyvault.metering.accounts import Changes, Counted
from keyvault.metering.spent import spent_in
from keyvault.storage.engine import Transaction


def counted(
    tx: Transaction, changes: Changes, before: Iterable[Account], now_ms: int, *, again: bool = False
) -> Counted:
    """What the ledger knows to be spent of changed budgets. `before`: the accounts that there are. `again`: others have
    spent meanwhile, so it is read for all. What was spent and is not written yet is told apart when the memory takes it
    over: by what was `written` of the accounts that there were."""
    if not changes.budgets:
        return Counted()
    there = {place(account.of): account for account in before}
    fresh = [b for b in changes.budgets if _fresh(b, changes, there.get(place(b)), now_ms, again=again)]
    known = [there[place(b)] for b in fresh if place(b) in there]
    rules = [a.of for a in known if isinstance(a.of, Budget) and within(a, now_ms)]
    written = spent_in(tx, rules, now_ms)
    return Counted(spent_in(tx, fresh, now_ms), {place(rule): written[rule.id] for rule in rules})


def _fresh(budget: Budget, changes: Changes, before: Account | None, now_ms: int, *, again: bool) -> bool:
    return budget.id not in changes.doubted_budgets and (again or not goes_on(before, budget, now_ms))
