"""What an ended attempt is booked as: outcome, counts with their basis, cost and charge.

Rules. A provider's own counts win. Where a stream broke off without them, what was produced is counted from its text.
An attempt that never reached a provider, that the provider refused with an error status, or that asks for what is free
everywhere (lists of models, counts of tokens) is known to cost nothing; reports leave it out where they say how counts
are known. An attempt that was sent and came to nothing visible has an unknown cost: unknown is not zero. The customer
pays for what was served and for what was produced before the customer left; never for a failed attempt.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from keyvault.domain.ledger import Basis, OpenAttempt, Outcome, Settlement, Usage
from keyvault.domain.prices import Price, charge, cost
from keyvault.domain.routes import Choice
from keyvault.metering.usage import count_text, estimate_input
from keyvault.proxy.admission import Call
from keyvault.proxy.dialects.effective import effective
from keyvault.proxy.dialects.errors import scrub as masked
from keyvault.proxy.dialects.fields import JsonBody
from keyvault.proxy.dialects.meter import Metered
from keyvault.proxy.doubt import UNSEEN, doubt
from keyvault.proxy.ending import Ending
from keyvault.secrets import is_plain, scrub

NOTHING: Final = Usage(input=0, output=0)


def settlement(
    call: Call,
    attempt: OpenAttempt,
    ending: Ending,
    price: Price | None,
    *,
    model: str,
    now: float,
    began: float,
    left: bool = False,
    choice: Choice | None = None,
    secrets: tuple[str, ...] = (),
) -> Settlement:
    """What to book.

    `model`: the target's, whose tokenizer counts. `choice`: what the route sets for it. `left`: the client has gone.
    `now`, `began`: loop times in seconds.
    """
    metered = ending.metered or ending.read
    error = ending.failure or (metered and metered.error)
    failed = error is not None or ending.refused
    outcome = Outcome.ABORTED if left or ending.cut else Outcome.FAILED if failed else Outcome.SERVED
    usage, basis = _counts(call, model, ending, metered)
    cost_pico = _cost(ending, usage, price)
    free = left and call.caller.policy.free_aborts
    code, text = error or (None, None)
    if code == "":
        code, text = f"http_{ending.status}", text or f"the provider answered with status {ending.status}"
    return Settlement(
        request_id=attempt.request_id,
        number=attempt.number,
        outcome=outcome,
        final=True,
        status=ending.status,
        usage=usage,
        basis=basis,
        total_ms=_ms(now - began),
        first_content_ms=None if ending.first_content_at is None else _ms(ending.first_content_at - began),
        price_id=price.id if price and cost_pico is not None else None,
        cost_pico=cost_pico,
        charge_pico=(charged := 0 if free else _charge(outcome, cost_pico, attempt)),
        doubt_pico=doubt(
            attempt,
            cost_pico,
            charged,
            usage=usage,
            basis=basis,
            price=price,
            told_input=metered is not None and metered.usage.input is not None,
            body_bytes=len(call.exchange.request.body),
            unseen=0 if metered is None or metered.complete else UNSEEN * effective(call.body, choice).choices,
        ),
        error_code="client_left" if left and code is None else "hold_reached" if ending.held else code,
        error_text=scrub(text, secrets) if text else text,
        provider_request_id=_harmless(metered.provider_request_id, secrets) if metered else None,
    )


def _counts(call: Call, model: str, ending: Ending, metered: Metered | None) -> tuple[Usage, Basis]:
    if not ending.sent or call.asks_for_free or (ending.metered is None and ending.refused):
        return NOTHING, Basis.PROVIDER
    if metered is None:
        return Usage(), Basis.UNKNOWN
    if (metered.basis is Basis.PROVIDER and metered.complete) or not metered.produced:
        return metered.usage, metered.basis
    output, basis = count_text(metered.produced, model)
    usage = replace(metered.usage, output=output)
    if usage.input is None and isinstance(call.body, JsonBody):  # of a form's files the bytes tell nothing
        usage, basis = replace(usage, input=estimate_input(call.exchange.request.body)), Basis.ESTIMATE
    return usage, basis


def _cost(ending: Ending, usage: Usage, price: Price | None) -> int | None:
    if usage is NOTHING:
        return 0
    return cost(price.rates, usage) if price else None


def _charge(outcome: Outcome, cost_pico: int | None, attempt: OpenAttempt) -> int | None:
    """What goes beyond what was held for the attempt is not the customer's."""
    if outcome is Outcome.FAILED:
        return 0
    if cost_pico is None:
        return None
    charged = charge(cost_pico, attempt.multiplier_ppm)
    return charged if attempt.hold_pico is None else min(charged, attempt.hold_pico)


def _harmless(identifier: str | None, secrets: tuple[str, ...]) -> str | None:
    """A provider's id of a request, unless it echoes the credential, in whatever form, or looks like one."""
    if identifier is None or not (is_plain(identifier) or scrub(identifier) == identifier):
        return None
    shown = identifier.encode()
    return identifier if masked(shown, secrets) == shown else None


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
