"""What a request may cost, held before it leaves: the worst case over its plan, on every account that applies.

A request that draws on no budget and no balance has the null allowance, which costs nothing. Where money must not be
overspent, a request whose cost has no bound is refused, unless its key has a bound of its own: this is held then, or
what is known of the cost where that is more. A cap that the money does not cover is refused too, unless the key has it
lowered; a missing cap is set. Each further attempt is held anew, after what the one before may have taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from keyvault.clock import Clock
from keyvault.domain.ledger import Basis, OpenAttempt, Settlement
from keyvault.domain.prices import Price, charge
from keyvault.domain.routes import Target
from keyvault.metering.account import Account, Hold, Shortage
from keyvault.metering.bounds import worst_case
from keyvault.money import CURRENCY, format_usd
from keyvault.proxy.admission import Call
from keyvault.proxy.ceiling import Ceiling
from keyvault.proxy.dialects.effective import effective
from keyvault.proxy.dialects.fields import CAP_FIELDS
from keyvault.proxy.dialects.shape import Shape, shape_of
from keyvault.proxy.tables import Tables
from keyvault.proxy.terms import FEWEST, Tariffs, Terms, terms
from keyvault.proxy.uncovered import insufficient, not_bounded, not_here
from keyvault.routing.planner import Planned

MODEST: Final = 1_024
PART: Final = 8
"""A missing cap is set to a part of what the money buys, one in so many, but not below `MODEST`: so that requests at
the same time leave something to each other."""

HEEDED: Final = 64
"""Tokens beyond a cap from which on a target is taken not to keep caps."""
_MOST_TARGETS: Final = 1_000
_PROVIDER: Final = Basis.PROVIDER


class Allowance(Struct, eq=False):
    """What one request has of its accounts. `close` it when the request has ended."""

    hold: Hold
    hard: bool
    """Whether something must not be overspent."""
    balance_id: int | None
    terms: dict[Target, Terms] = {}
    cap: int | None = None
    """The cap that the money sets, per choice; None: the caller's holds."""

    @property
    def pico(self) -> int | None:
        """What is held, at the customer's price, and the most that is charged; None where nothing is kept to it."""
        return self.hold.pico if self.hard else None

    def written(self, target: Target) -> Mapping[str, int]:
        """The fields of the body that the gateway sets for a target, which is told in `x-gateway-clamped`."""
        found = self.terms.get(target)
        return {} if found is None or self.cap is None else found.written(self.cap)

    def close(self) -> None:
        self.hold.release()


NONE: Final = Allowance(Hold(()), hard=False, balance_id=None)
"""For a request that draws on nothing."""


class Allowances:
    """Grants allowances, for the event loop's thread."""

    def __init__(self, tables: Tables, clock: Clock) -> None:
        self._tables = tables
        self._clock = clock
        self._excess: dict[Target, int] = {}
        """Targets that do not keep caps, by how many tokens."""
        self._tariffs = Tariffs()

    def allow(self, call: Call, plan: Iterable[Planned]) -> Allowance:
        """Hold the most that a request can cost. Raises `Refusal` 402 where that is not covered."""
        now_ms, caller = self._clock.now_ms(), call.caller
        found = self._tables.accounts.applying(call.payer, caller.key_id, caller.env, call.model or "", now_ms)
        deferred = call.claim is not None and call.claim.deferred
        if not found.accounts or (call.asks_for_free and not deferred):
            return NONE
        if found.hard and not self._tables.may_spend:
            raise not_here()
        if deferred:
            if found.hard:
                raise not_bounded("background" if call.body.background else "path")
            return NONE
        allowance = Allowance(Hold(found.accounts), found.hard, found.balance_id)
        plain = shape_of(call.dialect, call.body, call.exchange.request.body)
        for each in plan:
            body = effective(call.body, each.choice)  # a route may make another of it
            shape = plain if body is call.body else shape_of(call.dialect, body, body.rewritten(None))
            allowance.terms[each.target] = self._terms(call, each, now_ms, shape)
        self._hold(call, allowance)
        return allowance

    def cover(self, call: Call, planned: Planned) -> bool:
        """Hold the most that the next attempt can cost, if the money is there."""
        allowance = call.allowance
        if not allowance.hold.accounts:
            return True
        found = self._found(call, planned)  # of its shape; its price may have become another since
        found = allowance.terms[planned.target] = self._terms(call, planned, self._clock.now_ms(), found.shape)
        pico = found.charge_at(allowance.cap)
        if pico is None:
            return not allowance.hard
        try:
            allowance.hold.grow_to(pico)
        except Shortage:
            return False
        return True

    def priced(self, call: Call, planned: Planned, now_ms: int) -> tuple[Price | None, int | None]:
        """The price of an attempt, and the most that it can cost by it; None where there is no bound."""
        allowance = call.allowance
        if allowance.hold.accounts:
            found = allowance.terms.get(planned.target) or self._found(call, planned)  # by the price that was held for
            return found.price, found.cost_at(allowance.cap)
        price = self._price(planned, now_ms)
        if price is None:
            return None, None
        body = effective(call.body, planned.choice)
        size = len(call.exchange.request.body) + body.added_bytes
        return price, worst_case(price.rates, size, body.output_cap, body.choices)

    def ceiling(self, call: Call, planned: Planned) -> Ceiling | None:
        """What the stream of a call may come to where money must hold; None where nothing says."""
        allowance = call.allowance
        if not allowance.hard:
            return None
        found = self._found(call, planned)
        tokens = found.tokens_for(allowance.cap)
        if tokens is None or call.dialect not in CAP_FIELDS:
            return None
        asked = call.exchange.request.body if call.body.include_usage else None
        return Ceiling(call.dialect, planned.target.model, tokens, choices=found.shape.choices, asked=asked)

    def settled(self, call: Call, planned: Planned, row: OpenAttempt, booked: Settlement) -> None:
        """Turn what an attempt took, or may have taken, into what was spent, of a balance no more than there is; say
        what went beyond the hold."""
        hold, charged, doubt = call.allowance.hold, booked.charge_pico or 0, booked.doubt_pico
        if not hold.accounts:
            return
        if doubt:
            doubt = booked.doubt_pico = hold.doubt(charged, doubt)
            hold.spend(charged + doubt, doubt)
        else:
            hold.spend(charged)
        if booked.usage.output and booked.basis is _PROVIDER:
            self._learn(call, planned, booked.usage.output)
        if booked.cost_pico is None or row.hold_pico is None or not call.allowance.hard:
            return
        cost = charge(booked.cost_pico, row.multiplier_ppm)
        if cost > row.hold_pico:
            beyond = f"{format_usd(cost - row.hold_pico)} {CURRENCY}"
            text = f"{planned.target} took {beyond} more than was held for request {call.request_id}"
            self._tables.noticed.note("cost_beyond_hold", f"key:{call.caller.key_name}", text)

    def _learn(self, call: Call, planned: Planned, output: int) -> None:
        """Hold more for a target from now on, at most its cap once more, if it says itself that it did not keep it; and
        half as much after each answer that kept it."""
        found = call.allowance.terms.get(planned.target)
        if found is None or not found.shape.settable:
            return
        cap = found.cap(call.allowance.cap)
        if cap is None:
            return
        if output <= cap and not self._excess:
            return
        target, beyond = planned.target, -(-output // found.shape.choices) - cap
        known = self._excess.get(target, 0)
        if beyond > HEEDED and (known or len(self._excess) < _MOST_TARGETS):
            self._excess[target] = max(known, min(beyond, cap))
        elif beyond <= 0 and known:
            if known // 2 > HEEDED:
                self._excess[target] = known // 2
            else:
                del self._excess[target]

    def _hold(self, call: Call, allowance: Allowance) -> None:
        most: int | None = 0
        for each in allowance.terms.values():
            pico = each.charge_at(None)
            if pico is None:
                if (unbounded := each.unbounded) is not None:
                    if allowance.hard:
                        raise not_bounded(unbounded)
                    return
                most = None
            elif most is not None and pico > most:
                most = pico
        try:
            if most is not None:
                allowance.hold.grow_to(most)
            elif allowance.hard:
                self._set_cap(allowance)
        except Shortage as shortage:
            self._lower_cap(call, allowance, shortage.account)

    def _set_cap(self, allowance: Allowance) -> None:
        """Set a cap where the caller set none. Raises `Refusal`."""
        every = allowance.terms.values()
        affordable = _buys(allowance)
        least, usual = _least(allowance), min(each.usual_cap for each in every)
        if affordable is None:
            allowance.cap = max(least, usual)
        elif affordable < least:
            raise insufficient(_shortest(allowance))
        else:
            allowance.cap = min(affordable, max(least, min(usual, max(MODEST, affordable // PART))))
        allowance.hold.grow_to(_most(every, allowance.cap) or 0)

    def _lower_cap(self, call: Call, allowance: Allowance, short: Account) -> None:
        """Lower the caller's cap to what the money buys, if its key says so. Raises `Refusal`."""
        every = allowance.terms.values()
        affordable = _buys(allowance)
        if affordable is None or affordable < _least(allowance) or not all(each.shape.settable for each in every):
            raise insufficient(short)
        if not call.caller.policy.clamp:
            raise insufficient(short, next(iter(every)).shape, affordable)
        allowance.cap = affordable
        allowance.hold.grow_to(_most(every, affordable) or 0)

    def _found(self, call: Call, planned: Planned) -> Terms:
        found = call.allowance.terms.get(planned.target)
        if found is None:
            body = effective(call.body, planned.choice)
            raw = call.exchange.request.body if body is call.body else body.rewritten(None)
            found = self._terms(call, planned, self._clock.now_ms(), shape_of(call.dialect, body, raw))
        return found

    def _terms(self, call: Call, planned: Planned, now_ms: int, shape: Shape) -> Terms:
        """`shape`: of the body as this target gets it."""
        of = self._tariffs.of(planned, call.dialect, self._tables.prices, now_ms)
        excess = self._excess.get(planned.target, 0) if self._excess else 0
        return terms(of, shape, call.payer.multiplier_ppm, excess, call.caller.policy.bound_pico)

    def _price(self, planned: Planned, now_ms: int) -> Price | None:
        upstream = planned.upstream
        return self._tables.prices.find(upstream.name, upstream.catalogue, planned.target.model, now_ms)


def _most(every: Iterable[Terms], cap: int | None) -> int | None:
    """The most that any target may take; None where one has no cap."""
    found = [each.charge_at(cap) for each in every]
    known = [pico for pico in found if pico is not None]
    return max(known) if len(known) == len(found) else None


def _least(allowance: Allowance) -> int:
    """The lowest cap that is still an answer with every target."""
    return max(FEWEST, *(each.shape.least for each in allowance.terms.values()))


def _buys(allowance: Allowance) -> int | None:
    """The highest cap that is covered with every target, negative where none is; None: any."""
    available = allowance.hold.available_pico() or 0
    found = (each.buys(available) for each in allowance.terms.values())
    return min((cap for cap in found if cap is not None), default=None)


def _shortest(allowance: Allowance) -> Account:
    hard = (account for account in allowance.hold.accounts if account.hard)
    return min(hard, key=lambda account: account.available_pico)
