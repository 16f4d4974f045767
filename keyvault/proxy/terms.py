"""What one target may take for one request: the line of its cost over the cap, and how the cap is written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from keyvault.domain.endpoints import Dialect
from keyvault.domain.prices import Price
from keyvault.domain.providers import presets
from keyvault.domain.routes import Target
from keyvault.domain.vault import Upstream
from keyvault.metering.bounds import Scale, Worst, scale
from keyvault.metering.prices import PriceBook
from keyvault.proxy.dialects.fields import CAP_FIELDS
from keyvault.proxy.dialects.shape import Shape
from keyvault.routing.planner import Planned

PPM: Final = 1_000_000

FEWEST: Final = 16
"""A cap of fewer tokens is no answer: where the caller set none, the request is refused instead."""
USUAL_CAP: Final = 4_096
"""The highest cap that is set where the caller set none: one that every model takes."""
LONG_CAP: Final = 16_384
"""The same for models that think before they answer, or are made for long answers."""
_LONG: Final = re.compile(r"\bo[134](-|$)|gpt-5|gpt-4\.1|claude-(opus|sonnet|haiku)-[4-9]|gemini-(2\.5|[3-9])")
_CACHES_WHAT_IS_MARKED: Final = frozenset({"anthropic"})
"""Providers that write nothing to a cache but what a body marks; in Anthropic's dialect that holds of every one."""
_DEARER: Final = (":online", ":nitro", ":exacto")
"""How OpenRouter has a model search, or be served by whom it likes: no price of a name says what that costs."""
_REMEMBERED: Final = 1_000
"""Tariffs kept; clients name models freely, so the memory is bounded."""
_CAP_FIELD: Final = {preset.name: preset.output_cap for preset in presets()}


class Terms(Struct):
    """One target's terms. Not changed once made."""

    shape: Shape
    price: Price | None
    worst: Worst | None
    """None: nobody knows a bound, or the target has no price."""
    multiplier_ppm: int
    usual_cap: int
    field: str
    """Where a cap is written that the caller did not set."""
    excess: int = 0
    """Tokens by which each choice of the target's answers went beyond their cap."""
    own_bound: int | None = None
    """What the key says that a request without a bound costs at most, at the provider's price; None where the request
    has a bound, or the key says nothing."""
    cost: int | None = None
    """The most it comes to at the provider's price with the caller's own cap; None where there is no bound."""

    def __post_init__(self) -> None:
        self.cost = self._cost(self.shape.cap)

    @property
    def unbounded(self) -> str | None:
        """The field that has no bound, `model` where it is the price that is missing; None where there is a bound."""
        if self.own_bound is not None:
            return None
        if self.shape.unbounded is not None:
            return self.shape.unbounded
        if self.worst is None:
            return "model"
        endless = self.worst.per_token and self.shape.cap is None and not self.shape.settable
        return "input" if endless else None

    def charge_at(self, cap: int | None) -> int | None:
        """The most it comes to at the customer's price; None where there is no bound."""
        cost = self.cost if cap is None else self.cost_at(cap)
        return cost if cost is None or self.multiplier_ppm == PPM else -(-cost * self.multiplier_ppm // PPM)

    def cost_at(self, cap: int | None) -> int | None:
        """The most it comes to at the provider's price, where a cap of the gateway's own may lower the caller's. The
        key's own bound stands for what nobody knows; it never stands for less than what is known."""
        return self.cost if cap is None else self._cost(self.cap(cap))

    def _cost(self, holds: int | None) -> int | None:
        """`holds`: the cap that holds."""
        if self.own_bound is None and (self.worst is None or self.shape.unbounded is not None):
            return None
        known = None if self.worst is None else self.worst.at(None if holds is None else holds + self.excess)
        if self.own_bound is None:
            return known
        if known is None:
            return None if self.worst is not None and self.shape.settable else self.own_bound
        return max(known, self.own_bound)

    def buys(self, pico: int) -> int | None:
        """The highest cap that so much of the customer's money covers; None: any."""
        if not self.multiplier_ppm:
            return None
        at_provider = pico * PPM // self.multiplier_ppm
        if self.own_bound is not None and self.own_bound > at_provider:
            return -1
        most = None if self.worst is None else self.worst.buys(at_provider)
        return None if most is None else most - self.excess

    def tokens_for(self, lowered: int | None) -> int | None:
        """The output tokens, of all choices together, that are paid for; None where no cap says."""
        cap = self.cap(lowered)
        return None if cap is None else cap * self.shape.choices

    def cap(self, lowered: int | None) -> int | None:
        """The cap that holds: the caller's, unless the gateway's is lower."""
        own = self.shape.cap
        if lowered is None or not self.shape.settable:
            return own
        return lowered if own is None else min(own, lowered)

    def written(self, lowered: int | None) -> Mapping[str, int]:
        """The fields of the body that say another cap than the caller did."""
        shape = self.shape
        if lowered is None or not shape.settable or (shape.cap is not None and shape.cap <= lowered):
            return {}
        return dict.fromkeys(shape.given or (self.field,), lowered)


class Tariff(Struct):
    """What of a target's terms is the same for every request in a dialect, while its price is."""

    model: str
    price: Price | None
    marked: Scale | None
    unmarked: Scale | None
    """The bound of a price for bodies with marks for a cache, and for those without."""
    usual_cap: int
    field: str
    upstream: Upstream
    since_ms: int
    until_ms: int
    """Between the two the price is sure to hold."""


class Tariffs:
    """The tariffs of targets, each made once for as long as its price holds."""

    def __init__(self) -> None:
        self._book: PriceBook | None = None
        """Where all of them are from."""
        self._known: dict[tuple[Target, Dialect], Tariff] = {}

    def of(self, planned: Planned, dialect: Dialect, book: PriceBook, now_ms: int) -> Tariff:
        """The tariff by the price that a book has at a moment."""
        if book is not self._book:
            self._book = book
            self._known.clear()
        found = self._known.get((planned.target, dialect))
        if found is None or found.upstream is not planned.upstream or not found.since_ms <= now_ms < found.until_ms:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[planned.target, dialect] = _tariff(planned, dialect, book, now_ms)
        return found


def _tariff(planned: Planned, dialect: Dialect, book: PriceBook, now_ms: int) -> Tariff:
    upstream, model, provider = planned.upstream, planned.target.model, planned.upstream.provider
    price = book.find(upstream.name, upstream.catalogue, model, now_ms)
    since_ms, until_ms = book.holds(upstream.name, upstream.catalogue, model, now_ms)
    marked = unmarked = None
    if price is not None and not model.endswith(_DEARER):
        marks_count = dialect is Dialect.MESSAGES or provider in _CACHES_WHAT_IS_MARKED
        marked, unmarked = scale(price.rates, True), scale(price.rates, not marks_count)
    cap, field = _usual_cap(model), _field(dialect, provider)
    return Tariff(model, price, marked, unmarked, cap, field, upstream, since_ms, until_ms)


def terms(of: Tariff, shape: Shape, multiplier_ppm: int, excess: int = 0, bound_pico: int | None = None) -> Terms:
    """The terms of a target for a request of this shape. `bound_pico`: what the key says that requests without a bound
    cost its customer; one who pays nothing has it at the provider's price."""
    bounding = of.marked if shape.marked else of.unmarked
    tokens = shape.input_tokens(of.model) if shape.images else shape.tokens
    line = None if bounding is None else bounding.worst(tokens, shape.choices)
    found = Terms(shape, of.price, line, multiplier_ppm, of.usual_cap, of.field, excess)
    if bound_pico is not None and found.unbounded is not None:
        found.own_bound = bound_pico * PPM // multiplier_ppm if multiplier_ppm else bound_pico
        found.cost = found._cost(shape.cap)
        most = None if line is None else line.buys(found.own_bound)
        if most is not None:  # a cap that is set is one that the bound buys
            found.usual_cap = min(found.usual_cap, max(FEWEST, most))
    return found


def _usual_cap(model: str) -> int:
    return LONG_CAP if _LONG.search(model.lower()) else USUAL_CAP


def _field(dialect: Dialect, provider: str) -> str:
    if dialect is Dialect.CHAT:
        return _CAP_FIELD.get(provider, "max_tokens")
    return CAP_FIELDS.get(dialect, ("",))[0]
