"""One attempt on its way to a provider, and the bytes that leave for it."""

from __future__ import annotations

from msgspec import Struct

from keyvault.domain.drills import Fault
from keyvault.domain.endpoints import Dialect
from keyvault.domain.ledger import OpenAttempt
from keyvault.domain.prices import Price
from keyvault.proxy.admission import Call, query_for_provider
from keyvault.proxy.dialects.effective import effective
from keyvault.proxy.headers import closing, to_provider_opening
from keyvault.proxy.tables import ServingUpstream
from keyvault.routing.planner import Planned


class Attempt(Struct):
    """One attempt on its way: to which target, at which price, under which row of the ledger."""

    planned: Planned
    upstream: ServingUpstream
    price: Price | None
    row: OpenAttempt
    began: float
    fresh: bool
    """Do not take a kept connection: the last one was dead."""
    second: bool
    """It goes with another credential, since the provider refused the first."""
    follows: OpenAttempt | None
    """The attempt that failed before it."""
    fault: Fault | None = None
    """How a drill has it fail."""


def message(call: Call, attempt: Attempt) -> tuple[bytes, bytes]:
    """Head and body as they go to the provider. Raises `Refusal` for a header that cannot."""
    request, upstream = call.exchange.request, attempt.upstream
    names_none = call.model is None and call.dialect is Dialect.OTHER  # it may not even take a model
    effectively = call.body if call.asks_for_free else effective(call.body, attempt.planned.choice)
    if call.allowance.cap is not None and (written := call.allowance.written(attempt.planned.target)):
        effectively = effectively.with_parameters({}, written)
    body = effectively.rewritten(
        None if names_none else attempt.planned.target.model or None,
        add_usage=call.body.stream and call.wants_usage_added(attempt.planned.upstream),
    )
    opening = _opening(call, upstream)
    return opening + closing(request.method, f"{attempt.row.request_id}-{attempt.row.number}", len(body)), body


def _opening(call: Call, upstream: ServingUpstream) -> bytes:
    """What the same head from a client becomes for the same upstream: made once, then remembered with the head."""
    request = call.exchange.request
    known: tuple[ServingUpstream, bytes] | None = request.lasting.get("opening")
    if known is not None and known[0] is upstream:
        return known[1]
    opening = to_provider_opening(
        request.method,
        upstream.origin.path + call.path + query_for_provider(request.query),
        request.headers,
        host=upstream.host,
        auth=upstream.auth,
        extra=upstream.extra,
    )
    request.lasting["opening"] = (upstream, opening)
    return opening
