"""What a worker can see that an operator should know: budgets and balances that run out, upstreams that fail, models
without a price, a ledger that cannot be written.

Pure: each function says what is so now. What is no longer so is over. `alerting` makes alerts of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from keyvault.clock import from_ms, rfc3339
from keyvault.domain.balances import Balance
from keyvault.domain.budgets import Budget, Period
from keyvault.domain.routes import Target
from keyvault.metering.account import Account
from keyvault.money import format_usd

BUDGET_THRESHOLD: Final = "budget_threshold"
BALANCE_LOW: Final = "balance_low"
BALANCE_EMPTY: Final = "balance_empty"
BALANCE_IN_DOUBT: Final = "balance_in_doubt"
UPSTREAM_FAILING: Final = "upstream_failing"
PRICE_MISSING: Final = "price_missing"
WRITER_STALLED: Final = "writer_stalled"
KINDS: Final = (
    BUDGET_THRESHOLD,
    BALANCE_LOW,
    BALANCE_EMPTY,
    BALANCE_IN_DOUBT,
    UPSTREAM_FAILING,
    PRICE_MISSING,
    WRITER_STALLED,
)

MUCH_DOUBT: Final = 10
"""One part in so many of what was paid in."""

STALLED_LOOKS: Final = 3
"""So often in a row must a look find that the ledger does not get on; they are a second apart."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Something that is so now. There is one of a kind and scope."""

    kind: str
    scope: str
    text: str
    once_since_ms: int | None = None
    """A worker that has just started does not tell what was told at or after this moment; None: it tells it."""

    @property
    def of(self) -> tuple[str, str]:
        return self.kind, self.scope


def accounts(every: Iterable[Account]) -> Iterator[Sight]:
    """Budgets at their thresholds, balances that run out."""
    for account in every:
        if account.doubted:
            continue  # which is told as what it is
        if isinstance(account.of, Budget):
            yield from _budget(account, account.of)
        else:
            yield from _balance(account, account.of)


def upstreams(opened: Mapping[Target, str]) -> Iterator[Sight]:
    """One for each upstream whose targets are out of service."""
    failing: dict[str, list[Target]] = {}
    for target in opened:
        failing.setdefault(target.upstream, []).append(target)
    for upstream, targets in failing.items():
        models = ", ".join(sorted(target.model for target in targets)[:5])
        text = f"{upstream} fails with {models}: {opened[targets[0]]}; other targets are preferred"
        yield Sight(UPSTREAM_FAILING, f"upstream:{upstream}", text)


def prices(unknown: Iterable[Target], priced: Callable[[Target], bool]) -> Iterator[Sight]:
    """One for each target whose cost was unknown, as long as it has no price."""
    for target in unknown:
        if not priced(target):
            name = f"{target.upstream}/{target.model}"
            text = f"{name} has no price: its cost is unknown, and hard budgets refuse it"
            yield Sight(PRICE_MISSING, f"target:{name}", text)


class LedgerSight:
    """Whether the ledger gets on, from look to look."""

    def __init__(self) -> None:
        self._written = -1
        self._looks = 0

    def look(self, *, healthy: bool, depth: int, written: int) -> Iterator[Sight]:
        """`written`: transactions committed so far."""
        stuck = not healthy or (depth > 0 and written == self._written)
        self._looks, self._written = self._looks + 1 if stuck else 0, written
        if self._looks >= STALLED_LOOKS:
            text = "the ledger cannot be written: new requests are refused until it can" if not healthy else ""
            yield Sight(WRITER_STALLED, "ledger", text or f"the ledger's writer has not got on for {self._looks} s")


def _budget(account: Account, budget: Budget) -> Iterator[Sight]:
    spent = account.spent_pico * 100
    for percent in budget.thresholds:
        if spent < budget.amount_pico * percent:
            return  # they are in order
        scope = " ".join(filter(None, (named(budget), budget.period, f"{percent}%")))
        yield Sight(BUDGET_THRESHOLD, scope, _threshold(account, budget, percent), max(account.from_ms, 0))


def _threshold(account: Account, budget: Budget, percent: int) -> str:
    per = "in total" if budget.period is Period.TOTAL else f"per {budget.period}"
    left = "; what goes beyond is refused" if budget.hard else ""
    until = "" if account.until_ms is None else f", until {rfc3339(from_ms(account.until_ms))}"
    amounts = f"{format_usd(account.spent_pico)} of {format_usd(budget.amount_pico)} USD {per}"
    return f"{named(budget)} has spent {percent}% of its budget: {amounts}{until}{left}"


def _balance(account: Account, balance: Balance) -> Iterator[Sight]:
    left = account.limit_pico - account.spent_pico
    if left <= 0:
        text = f"{named(balance)} has spent its balance: requests are refused until gwctl balances top-up"
        yield Sight(BALANCE_EMPTY, named(balance), text)
    if balance.low_pico is not None and left <= balance.low_pico:
        text = f"{named(balance)} has {format_usd(left)} USD left, its low mark is {format_usd(balance.low_pico)}"
        yield Sight(BALANCE_LOW, named(balance), text)
    paid = balance.funded_pico - balance.released_pico
    if account.in_doubt_pico * MUCH_DOUBT > paid:
        amounts = f"{format_usd(account.in_doubt_pico)} of {format_usd(paid)} USD"
        text = f"{named(balance)} cannot spend what is in doubt, {amounts}: gwctl balances release, if it was not taken"
        yield Sight(BALANCE_IN_DOUBT, named(balance), text)


def named(of: Budget | Balance) -> str:
    """`key:ci-bot`, with what else tells apart: `key:ci-bot gpt-5* test`."""
    parts = (str(of.scope), of.model if isinstance(of, Budget) else "", "" if of.env == "live" else of.env)
    return " ".join(filter(None, parts))
