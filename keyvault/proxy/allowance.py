"""What a request may cost, held before it leaves: the worst case over its plan, on every account that applies.

A request that draws on no budget and no balance has the null allowance, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from keyvault.clock import Clock
from keyvault.domain.balances import Balance
from keyvault.domain.ledger import Settlement
from keyvault.domain.prices import Price
from keyvault.errors import Refusal
from keyvault.metering.accounts import Account, Hold, Shortage
from keyvault.metering.holds import worst_case
from keyvault.proxy.admission import Call
from keyvault.proxy.tables import Tables
from keyvault.routing.planner import Planned


class Allowance:
    """What one request has of its accounts. `close` it when the request has ended."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._hold = Hold(accounts)
        balances = (account.of.id for account in accounts if isinstance(account.of, Balance))
        self.balance_id: int | None = next(balances, None)

    @property
    def pico(self) -> int | None:
        """What is held, at the customer's price; None where no account applies."""
        return self._hold.pico if self._hold.accounts else None

    @property
    def hard(self) -> bool:
        """Whether something must not be overspent."""
        return any(account.hard for account in self._hold.accounts)

    def cover(self, pico: int) -> None:
        """Hold so much for the next attempt. Raises `Shortage`."""
        self._hold.grow_to(pico)

    def settled(self, booked: Settlement) -> None:
        """Turn what an attempt took, or may have taken, into what was spent."""
        if self._hold.accounts:
            self._hold.spend((booked.charge_pico or 0) + (booked.doubt_pico or 0))

    def close(self) -> None:
        self._hold.release()


NONE: Final = Allowance(())
"""For a request that draws on nothing."""


class Allowances:
    """Grants allowances, for the event loop's thread."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock

    def allow(self, call: Call, plan: Iterable[Planned]) -> Allowance:
        """Hold the most that a request can cost. Raises `Refusal` 402 where that is not covered."""
        accounts, payer = self._tables.accounts, call.payer
        if not accounts:
            return NONE
        now_ms = self._clock.now_ms()
        caller = call.caller
        found = accounts.applying(payer, caller.key_id, caller.env, call.model or "", now_ms)
        if not found or call.asks_for_free:
            return NONE
        allowance = Allowance(found)
        bound = self._bound(call, plan, now_ms)
        if bound is None:
            if allowance.hard:
                raise Refusal(402, "cost_not_bounded", "what this request may cost has no bound")
            return allowance
        try:
            allowance.cover(bound)
        except Shortage as shortage:
            raise _insufficient(shortage) from None
        return allowance

    def _bound(self, call: Call, plan: Iterable[Planned], now_ms: int) -> int | None:
        """The most that any target of the plan may take, at the customer's price."""
        found = [self.bound(call, self._price(planned, now_ms)) for planned in plan]
        known = [pico for pico in found if pico is not None]
        if len(known) < len(found):
            return None
        return -(-max(known) * call.payer.multiplier_ppm // 1_000_000)

    def bound(self, call: Call, price: Price | None) -> int | None:
        """The most that one attempt can cost at a price; None where there is no bound."""
        if price is None:
            return None
        body = call.body
        return worst_case(price.rates, len(call.exchange.request.body), body.output_cap, body.choices)

    def _price(self, planned: Planned, now_ms: int) -> Price | None:
        upstream = planned.upstream
        return self._tables.prices.find(upstream.name, upstream.catalogue, planned.target.model, now_ms)


def _insufficient(shortage: Shortage) -> Refusal:
    what = "balance" if isinstance(shortage.account.of, Balance) else "budget"
    text = f"the {what} of {shortage.account.of.scope} does not cover this request"
    return Refusal(402, "insufficient_quota", text, type="insufficient_quota")
