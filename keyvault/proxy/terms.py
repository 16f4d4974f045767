"""What one target may take for one request: the line of its cost over the cap, and how the cap is written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from keyvault.domain.endpoints import Dialect
from keyvault.domain.prices import Price
from keyvault.domain.providers import presets
from keyvault.metering.holds import Worst, worst
from keyvault.money import UNITS_PER_PRICE
from keyvault.proxy.dialects.fields import CAP_FIELDS
from keyvault.proxy.dialects.shape import Shape
from keyvault.routing.planner import Planned

PPM: Final = 1_000_000

USUAL_CAP: Final = 4_096
"""The highest cap that is set where the caller set none: one that every model takes."""
LONG_CAP: Final = 16_384
"""The same for models that think before they answer, or are made for long answers."""
_LONG: Final = re.compile(r"\bo[134](-|$)|gpt-5|gpt-4\.1|claude-(opus|sonnet|haiku)-[4-9]|gemini-(2\.5|[3-9])")
_CAP_FIELD: Final = {preset.name: preset.output_cap for preset in presets()}


@dataclass(slots=True)
class Terms:
    """One target's terms. Never changed; not frozen, as that takes three times as long to make."""

    shape: Shape
    worst: Worst | None
    """None: nobody knows a bound, or the target has no price."""
    multiplier_ppm: int
    usual_cap: int
    field: str
    """Where a cap is written that the caller did not set."""
    excess: int = 0
    """Tokens by which each choice of the target's answers went beyond their cap."""

    @property
    def unbounded(self) -> str | None:
        """The field that has no bound, `model` where it is the price that is missing; None where there is a bound."""
        if self.shape.unbounded is not None:
            return self.shape.unbounded
        if self.worst is None:
            return "model"
        endless = self.worst.per_token and self.shape.cap is None and not self.shape.settable
        return "input" if endless else None

    def charge_at(self, cap: int | None) -> int | None:
        """The most it comes to at the customer's price; None where there is no bound."""
        cost = self.cost_at(cap)
        return None if cost is None else -(-cost * self.multiplier_ppm // PPM)

    def cost_at(self, cap: int | None) -> int | None:
        """The most it comes to at the provider's price, where a cap of the gateway's own may lower the caller's."""
        if self.worst is None or self.shape.unbounded is not None:
            return None
        holds = self.cap(cap)
        return self.worst.at(None if holds is None else holds + self.excess)

    def buys(self, pico: int) -> int | None:
        """The highest cap that so much of the customer's money covers; None: any."""
        assert self.worst is not None
        most = self.worst.buys(pico * PPM // self.multiplier_ppm) if self.multiplier_ppm else None
        return None if most is None else most - self.excess

    def tokens_for(self, lowered: int | None, bound_pico: int | None) -> int | None:
        """The output tokens, of all choices together, that are paid for: by the cap, or by the key's own bound at the
        provider's price; None where neither says."""
        if bound_pico is not None:
            each = 0 if self.worst is None else self.worst.per_token // self.shape.choices
            return bound_pico * UNITS_PER_PRICE // each if each else None
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


def terms(
    planned: Planned, dialect: Dialect, shape: Shape, price: Price | None, multiplier_ppm: int, excess: int = 0
) -> Terms:
    """The terms of a target for a request of this shape."""
    model = planned.target.model
    return Terms(
        shape,
        None if price is None else worst(price.rates, shape.input_tokens(model), shape.choices),
        multiplier_ppm,
        _usual_cap(model),
        _field(dialect, planned.upstream.provider),
        excess,
    )


@lru_cache(maxsize=1024)
def _usual_cap(model: str) -> int:
    return LONG_CAP if _LONG.search(model.lower()) else USUAL_CAP


def _field(dialect: Dialect, provider: str) -> str:
    if dialect is Dialect.CHAT:
        return _CAP_FIELD.get(provider, "max_tokens")
    return CAP_FIELDS.get(dialect, ("",))[0]
