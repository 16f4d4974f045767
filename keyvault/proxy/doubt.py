"""What an attempt may have cost beyond what is charged for it, at the customer's price.

A count of the provider's is exact. A count of the gateway's own may fall short, and an answer that was cut off may have
gone on for a little where nobody saw it: where money must hold, the difference counts as taken. What nobody knows is in
doubt up to its bound.
"""

from __future__ import annotations

from typing import Final

from keyvault.domain.ledger import Basis, OpenAttempt, Usage
from keyvault.domain.prices import Price
from keyvault.metering.bounds import worst

SHORT: Final = {Basis.TOKENIZER: (105, 100), Basis.ESTIMATE: (130, 100)}
"""How far a count of an answer's text may fall short, as a fraction."""
SHORT_OF_INPUT: Final = (150, 100)
"""The same for what a model reads, of which only the texts are known: templates and tools come on top."""
UNSEEN: Final = 256
"""Tokens that a provider may have generated, for each choice, between the last that came and the end of its call."""


def doubt(
    attempt: OpenAttempt,
    at_customer: int | None,
    charged: int | None,
    *,
    usage: Usage,
    basis: Basis,
    price: Price | None,
    told_input: bool,
    body_bytes: int,
    unseen: int,
) -> int | None:
    """None where nothing is known. `at_customer`: what the attempt cost; `told_input`: by the provider; `unseen`:
    tokens that may have followed."""
    if at_customer is None:
        most = attempt.bound_charge_pico
    else:
        most = at_customer
        if attempt.hold_pico is not None and basis in SHORT and price is not None:
            counted = _most(usage, basis, price, told_input, body_bytes, unseen)
            short, bound = -(-counted * attempt.multiplier_ppm // 1_000_000), attempt.bound_charge_pico
            most = max(most, short if bound is None else min(short, bound))
    return None if most is None else max(0, most - (charged or 0))


def _most(usage: Usage, basis: Basis, price: Price, told_input: bool, body_bytes: int, unseen: int) -> int:
    entered = usage.input or 0
    if not told_input:
        entered = max(entered, min(body_bytes, _more(entered, SHORT_OF_INPUT)))
    line = worst(price.rates, entered, 1)
    return 0 if line is None else line.at(_more(usage.output or 0, SHORT[basis]) + unseen) or 0


def _more(count: int, by: tuple[int, int]) -> int:
    return -(-count * by[0] // by[1])
