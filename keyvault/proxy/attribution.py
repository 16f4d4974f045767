"""Who pays for a request, and what it is tagged with, where its key may say so by headers.

Most requests say nothing: their key's own project pays. Whoever says something with a key that may not is refused,
even where it names itself: an application that sends such headers must not seem to work. What a head says holds for
every request with the same head on a connection, until callers are read again.
"""

from __future__ import annotations

import json
from typing import Final

from keyvault.domain.names import check_tags, fold
from keyvault.domain.scopes import Payer
from keyvault.errors import Refusal, UsageError
from keyvault.keys.directory import Caller
from keyvault.keys.payers import Payers
from keyvault.proxy.admission import Call
from keyvault.proxy.http1 import Request
from keyvault.secrets import scrub

CUSTOMER: Final = b"x-gateway-customer"
PROJECT: Final = b"x-gateway-project"
TAGS: Final = b"x-gateway-tags"
MOST_TAGS: Final = 8
_HEADERS: Final = (CUSTOMER, PROJECT, TAGS)


def attribute(call: Call, payers: Payers) -> None:
    """Say who pays for a call, and its tags. Raises `Refusal`."""
    head = call.asked
    known = head.payer
    if known is None or known[0] != call.as_of:
        known = head.payer = (call.as_of, *_read(call.exchange.request, call.caller, payers))
    _, call.payer, call.tags = known


def names_payer(call: Call) -> bool:
    """Whether its headers say who pays, even if that is whoever would pay anyway."""
    request = call.exchange.request
    return request.header(CUSTOMER) is not None or request.header(PROJECT) is not None


def _read(request: Request, caller: Caller, payers: Payers) -> tuple[Payer, str | None]:
    given = [name for name in _HEADERS if request.header(name) is not None]
    if not given:
        return caller.payer, None
    allowed = {"customers": _HEADERS, "projects": (PROJECT, TAGS)}.get(caller.policy.attribute, ())
    for name in given:
        if name not in allowed:
            raise _not_allowed(f"this key may not send {name.decode()}")
    customer, project, tags = (_value(request, name) for name in _HEADERS)
    if customer is None and project is None:
        return caller.payer, _tags(tags)
    return _payer(caller, customer, project, payers), _tags(tags)


def _payer(caller: Caller, customer: str | None, project: str | None, payers: Payers) -> Payer:
    """`acme`, `web`, `acme/web`: a project that comes with its customer must not belie the other header."""
    owner, slash, name = ("", "", None) if project is None else project.rpartition("/")
    named = owner if slash else caller.customer if customer is None else customer
    if customer is not None and fold(customer) != fold(named):
        raise Refusal(400, "invalid_payer", "x-gateway-customer and x-gateway-project name two customers")
    if caller.policy.attribute == "projects" and fold(named) != fold(caller.customer):
        raise _not_allowed("this key may name only projects of its own customer")
    return payers.find(named, name, like=caller.project)


def _value(request: Request, name: bytes) -> str | None:
    """A header's only value. Raises `Refusal` for two."""
    values = request.all(name)
    if len(values) > 1:
        raise Refusal(400, "repeated_header", f"the header {name.decode()} was sent more than once")
    return values[0].decode("ascii", "replace") if values else None


def _tags(text: str | None) -> str | None:
    """`team=web,feature=search` as JSON."""
    if text is None:
        return None
    pairs = [part.strip().partition("=") for part in text.split(",")]
    if len(pairs) > MOST_TAGS or not all(equals for _, equals, _ in pairs):
        raise Refusal(400, "invalid_tags", f"write x-gateway-tags like team=web,feature=search, at most {MOST_TAGS}")
    try:
        tags = check_tags({name.strip(): value.strip() for name, _, value in pairs})
    except UsageError as error:
        raise Refusal(400, "invalid_tags", error.message) from None
    if scrub(text) != text:
        raise Refusal(400, "invalid_tags", "a tag in x-gateway-tags looks like a secret")
    if len(tags) < len(pairs):
        raise Refusal(400, "invalid_tags", "x-gateway-tags names a tag twice")
    return json.dumps(tags, sort_keys=True)


def _not_allowed(text: str) -> Refusal:
    return Refusal(403, "attribution_not_allowed", text, type="permission_error")
