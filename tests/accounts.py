"""What a worker does when rules about money have changed, at once and whatever vouches for them."""

from __future__ import annotations

from collections.abc import Collection

from keyvault.domain.balances import Balance
from keyvault.metering.accounts import Accounts, Changes
from keyvault.metering.renewing import counted
from keyvault.storage import balances, budgets
from keyvault.storage.engine import Database


def renew(
    accounts: Accounts,
    database: Database,
    now_ms: int,
    *,
    doubted_budgets: Collection[int] = (),
    doubted_balances: Collection[int] = (),
) -> None:
    with database.snapshot() as tx:
        there, paid = budgets.every(tx), balances.every(tx)
        known = {account.of.id for account in accounts.known()}
        funded = {account.of.id for account in accounts.every if isinstance(account.of, Balance)}
        changes = Changes(
            there,
            paid,
            known - {budget.id for budget in there},
            funded - {balance.id for balance in paid},
            doubted_budgets,
            doubted_balances,
        )
        found = counted(tx, changes, accounts.known(), now_ms)
    accounts.renew(changes, found, now_ms)
