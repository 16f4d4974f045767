"""What the client gets in the end: the provider's answer with its documented edits, or an error it understands."""

from __future__ import annotations

from typing import Final

from keyvault.domain.routes import Target
from keyvault.errors import Refusal, Unavailable
from keyvault.money import format_usd
from keyvault.proxy import models
from keyvault.proxy.admission import Call
from keyvault.proxy.asked import family_of
from keyvault.proxy.dialects.errors import render, scrub, stream_error
from keyvault.proxy.ending import Ending
from keyvault.proxy.headers import Headers, request_id_headers, to_client
from keyvault.proxy.http1 import Exchange

TIMEOUTS: Final = frozenset({"connect_timeout", "first_content_timeout", "idle_timeout", "total_timeout"})
OPERATOR_STATUSES: Final = frozenset({401, 402})
"""A provider's word about the gateway's own account; passed on, it would read as one about the client's key."""


def deliver(call: Call, target: Target, attempts: int, ending: Ending, secrets: tuple[str, ...]) -> None:
    """Send, or finish sending, what the last attempt brought. Raises `Refusal` where it may not be seen."""
    exchange = call.exchange
    if ending.committed:
        _finish(call, ending, secrets)
        return
    if call.withdrawn is not None:
        raise call.withdrawn
    if ending.failure is not None and not ending.told:
        raise gave_nothing(*ending.failure, may_know=call.caller.policy.expose)
    assert ending.status is not None
    if ending.status in OPERATOR_STATUSES:
        raise Refusal(
            502, "upstream_refused_credential", "the provider refused the gateway's account", type="api_error"
        )
    if not 200 <= ending.status < 300 and not 400 <= ending.status < 600:
        raise Refusal(502, "upstream_redirected", "the provider did not answer but sent elsewhere", type="api_error")
    headers = to_client(ending.headers, secrets) + added_headers(call, target, attempts)
    if ending.metered is not None:
        exchange.start(ending.status, headers, length=None)
        exchange.finish(scrub(ending.body, secrets))
        return
    as_it_is = ending.status < 400 and not call.asks_for_models
    exchange.reply(ending.status, headers, ending.body if as_it_is else _body(call, ending, secrets))


def _body(call: Call, ending: Ending, secrets: tuple[str, ...]) -> bytes:
    if (ending.status or 0) >= 400:
        return scrub(ending.body, secrets)
    policy = call.caller.policy
    return models.visible(policy, ending.body) if policy.models and call.asks_for_models else ending.body


def _finish(call: Call, ending: Ending, secrets: tuple[str, ...]) -> None:
    if ending.failure is None or ending.told:
        call.exchange.finish(scrub(ending.body, secrets))
    elif ending.metered is not None:
        code, text = ending.failure
        text = text if call.caller.policy.expose or ending.cut else "the provider's answer broke off"
        call.exchange.finish(stream_error(call.dialect, code, text, call.request_id))
    else:
        call.exchange.abort()  # a large answer cut short: nothing but a broken connection says so


def added_headers(call: Call, target: Target, attempts: int) -> Headers:
    """`x-request-id` for everyone, what is left of its limits for whom they hold; target, attempts and cost only for
    keys that may see supplier and price."""
    headers = call.headers
    if call.allowance.cap is not None:
        for field, cap in call.allowance.written(target).items():
            headers.append((b"x-gateway-clamped", b"%b=%d" % (field.encode(), cap)))
    if call.caller.policy.expose:
        headers.append((b"x-gateway-target", str(target).encode("ascii", "replace")))
        headers.append((b"x-gateway-attempts", str(attempts).encode()))
        if call.cost_pico is not None:
            headers.append((b"x-gateway-cost", format_usd(call.cost_pico).encode()))
    return headers


def gave_nothing(code: str, text: str, *, may_know: bool) -> Refusal:
    """Every target failed before its first content. What exactly happened names the supplier: not for every key."""
    message = "the provider could not be reached or did not answer"
    return Refusal(
        504 if code in TIMEOUTS else 502, code, f"{message}: {text}" if may_know else message, type="api_error"
    )


def unavailable(error: Unavailable) -> Refusal:
    """Storage is away: never a 401 for a valid key, and a word on when to try again."""
    return Refusal(503, "unavailable", error.message, type="api_error", retry_after_seconds=1)


def refuse(exchange: Exchange, refusal: Refusal, request_id: str) -> None:
    """Write a refusal in the shape of the dialect; cuts the answer where one has begun."""
    if exchange.started:
        exchange.abort()
        return
    call: Call | None = exchange.caller
    own = call.headers if call else request_id_headers(request_id)
    headers = [(b"content-type", b"application/json"), *own]
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", str(refusal.retry_after_seconds).encode()))
    if refusal.retry_after_ms is not None:
        headers.append((b"retry-after-ms", str(refusal.retry_after_ms).encode()))
    if refusal.status == 405:  # the gateway's own paths can only be read
        headers.append((b"allow", b"GET, HEAD"))
    exchange.reply(refusal.status, headers, render(family_of(exchange.request), refusal, request_id))
