"""`GET /v1/models`: the aliases a key may use, in a shape that both the OpenAI and the Anthropic SDK read.

Where no routes are set there are no aliases: then the upstream's own list is relayed like any other request.
"""

from __future__ import annotations

from typing import Any

import msgspec

from keyvault.domain.keys import Policy
from keyvault.errors import Refusal
from keyvault.proxy.admission import Call
from keyvault.routing.planner import Planner

_CREATED = 1_700_000_000
"""Aliases have no date of their own; SDKs want one."""


def answer(call: Call, planner: Planner) -> bool:
    """Answer a question for models from the routes; False where the upstream must answer."""
    policy = call.caller.policy
    aliases = planner.aliases(policy)
    name = call.path.removeprefix("/models").lstrip("/")
    if aliases is None and (not name or policy.allows_model(name)):
        return False
    if aliases is None or (name and name not in aliases):
        raise Refusal(404, "model_not_found", f"the model {name[:100]!a} does not exist or you may not use it")
    body: dict[str, Any] = _model(name) if name else _listing(aliases)
    headers = [(b"content-type", b"application/json"), *call.headers]
    call.exchange.reply(200, headers, msgspec.json.encode(body))
    return True


def visible(policy: Policy, body: bytes) -> bytes:
    """An upstream's own list without the models a key may not use."""
    try:
        listing = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return b"{}"
    if not isinstance(listing, dict) or not isinstance(listing.get("data"), list):
        return body
    listing["data"] = [m for m in listing["data"] if isinstance(m, dict) and policy.allows_model(str(m.get("id")))]
    return msgspec.json.encode(listing)


def _listing(aliases: list[str]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [_model(alias) for alias in aliases],
        "has_more": False,
        "first_id": aliases[0] if aliases else None,
        "last_id": aliases[-1] if aliases else None,
    }


def _model(alias: str) -> dict[str, Any]:
    return {
        "id": alias,
        "object": "model",
        "created": _CREATED,
        "owned_by": "gateway",
        "type": "model",
        "display_name": alias,
        "created_at": "2023-11-14T22:13:20Z",
    }
