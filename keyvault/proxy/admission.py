"""Who calls, what they ask for, and whether they may: everything that is decided before a provider is chosen.

All refusals that a caller can provoke are raised here, with the same words for every wrong credential.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from keyvault.domain.endpoints import Dialect, Endpoint
from keyvault.domain.ledger import Drawn
from keyvault.domain.routes import Target, parse_target
from keyvault.domain.vault import Upstream
from keyvault.errors import Refusal, UsageError
from keyvault.keys.directory import Caller, Directory
from keyvault.proxy.asked import PREFIX, USAGE_PATH, asked
from keyvault.proxy.dialects.body import Body, read_body
from keyvault.proxy.dialects.references import stored_reference
from keyvault.proxy.headers import Headers, request_id_headers
from keyvault.proxy.http1 import Exchange, Request
from keyvault.proxy.permit import UNLIMITED, Permit
from keyvault.proxy.relay import Relay

if TYPE_CHECKING:
    from keyvault.domain.scopes import Payer
    from keyvault.proxy.allowance import Allowance
    from keyvault.proxy.capturing.sample import Sample
    from keyvault.proxy.isolation.claim import Claim

USAGE_ON_REQUEST: Final = frozenset({Dialect.CHAT, Dialect.COMPLETIONS})
MAX_TOKEN_BYTES: Final = 200
RETRY_SUSPENDED_SECONDS: Final = 30
_PATH_CHARACTERS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:@!$&'()*+,;=%")
_STRAY_CREDENTIALS: Final = frozenset({"key", "api_key", "api-key", "api_base", "base_url", "access_token"})


class Call:
    """One request as the story follows it: who, then what."""

    __slots__ = (
        "address",
        "allowance",
        "as_of",
        "asked",
        "asks_for_free",
        "asks_for_models",
        "body",
        "caller",
        "claim",
        "cost_pico",
        "credential_id",
        "dialect",
        "drawn",
        "endpoint",
        "exchange",
        "isolated",
        "model",
        "path",
        "payer",
        "permit",
        "pin",
        "relay",
        "request_id",
        "sample",
        "started",
        "tags",
        "withdrawn",
    )

    def __init__(self, exchange: Exchange, request_id: str) -> None:
        request = exchange.request
        self.address = request.peer
        self.exchange = exchange
        self.request_id = request_id
        self.started = request.started
        self.asked = found = request.lasting.get("asked") or asked(request)
        self.path = found.path
        self.endpoint: Endpoint | None = found.endpoint
        self.dialect = found.dialect
        self.asks_for_models = found.models
        self.model: str | None = None  # as the body says
        self.as_of = -1  # the change epoch of keys by which `caller` was found
        self.relay: Relay | None = None  # of the attempt under way
        self.withdrawn: Refusal | None = None  # what the caller gets since its access was taken away
        self.cost_pico: int | None = None
        self.claim: Claim | None = None  # what an isolated key's request names and makes at the provider
        self.isolated = False  # reaches stored objects, those of its own project
        self.asks_for_free = found.free  # a question that no provider takes money for
        self.credential_id: int | None = None  # the credential that made what the request refers to
        self.caller: Caller
        self.body: Body
        self.payer: Payer
        self.tags: str | None = None  # as JSON
        self.permit: Permit = UNLIMITED  # what it has of the rate limits that hold for it
        self.allowance: Allowance
        self.pin: Target | None = None
        self.sample: Sample | None = None  # what is captured of it, where it was drawn
        self.drawn: tuple[Drawn, ...] = ()  # the arm of a rollout that it belongs to

    @property
    def headers(self) -> Headers:
        """What every answer tells: our id of the request, and how much is left of the limits that hold for it."""
        own = request_id_headers(self.request_id)
        return own if self.permit is UNLIMITED else own + self.permit.headers(self.asked.family)

    def wants_usage_added(self, upstream: Upstream) -> bool:
        """A chat stream whose provider tells its usage only when asked, and whose client did not ask."""
        return (
            self.body.stream
            and self.dialect in USAGE_ON_REQUEST
            and upstream.stream_usage
            and not self.body.include_usage
        )


def who(call: Call, directory: Directory, now_ms: Callable[[], int]) -> Caller:
    """The caller of a request; the same 401 for a wrong, unknown, expired, suspended or revoked key.

    The same head on the same connection names the same token: it is looked up anew when any key has changed.
    """
    head = call.asked
    known = head.token
    if known is None or known[0] != directory.reading:
        presented = _token(call.exchange.request)
        found = directory.find(presented) if presented else None
        if found is None:
            raise no_such_key()
        known = head.token = (directory.reading, found)
    usable = known[1]
    if usable.until_ms is not None and usable.caller_at(now_ms()) is None:
        raise no_such_key()
    return usable.caller


def no_such_key() -> Refusal:
    return Refusal(401, "invalid_api_key", "incorrect API key provided", type="authentication_error")


def everybody_suspended() -> Refusal:
    """The operator's switch: no word about the caller's key, which works again afterwards."""
    text = "the gateway was suspended by its operator"
    return Refusal(503, "gateway_suspended", text, type="api_error", retry_after_seconds=RETRY_SUSPENDED_SECONDS)


def _token(request: Request) -> bytes | None:
    bearer, plain = request.all(b"authorization"), request.all(b"x-api-key")
    if len(bearer) + len(plain) != 1:
        return None
    if plain:
        token = plain[0]
    else:
        scheme, _, token = bearer[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
    return token if len(token) <= MAX_TOKEN_BYTES else None


def let_in(call: Call) -> None:
    """Refuse a call from where, or to where, its key may not. What is let in is so with this head until any key has
    changed."""
    check_address(call)
    check_path(call)
    call.asked.let_in = call.as_of


def check_address(call: Call) -> None:
    """Refuse a caller from where its key may not be used; most keys have no such list."""
    policy = call.caller.policy
    if policy.addresses and not policy.allows_address(call.address):
        raise Refusal(
            403, "address_not_allowed", f"this key may not be used from {call.address[:45]}", type="permission_error"
        )


def check_path(call: Call) -> None:
    """Refuse what is not ours before a body is read: foreign paths, WebSockets, paths the key may not use."""
    request = call.exchange.request
    if call.asked.usage:
        return
    if request.path == USAGE_PATH:
        raise Refusal(405, "method_not_allowed", "only GET here")
    if not call.path:
        raise Refusal(404, "not_found", f"no such path: {request.path[:100]}; the API is under {PREFIX}/")
    if call.endpoint is None:
        _check_unknown_path(request)
    if not call.asks_for_models and not call.caller.policy.allows_dialect(call.dialect):
        raise Refusal(
            403,
            "endpoint_not_allowed",
            f"this key may not use {request.method} {request.path[:100]}; "
            "a key created with --endpoints all may use every path",
            type="permission_error",
        )


def _check_unknown_path(request: Request) -> None:
    if not _PATH_CHARACTERS.issuperset(request.path) or _climbs(request.path):
        raise Refusal(400, "invalid_path", "the path has characters or segments that are not allowed")
    if b"websocket" in (request.header(b"upgrade") or b"").lower():
        raise Refusal(403, "websocket_not_allowed", "WebSocket connections are not relayed", type="permission_error")


def _climbs(path: str) -> bool:
    lowered = path.lower()
    return any(part in (".", "..") for part in path.split("/")) or any(
        code in lowered for code in ("%2e", "%2f", "%5c", "%00")
    )


def what(call: Call) -> None:
    """Read the head fields of the body, and the target a caller may pin."""
    request, head = call.exchange.request, call.asked
    if head.encoding is not None and head.encoding.lower() != b"identity":
        raise Refusal(415, "unsupported_encoding", "send the body without a content-encoding")
    call.body = read_body(call.endpoint, head.content_type, request.body)
    call.model = call.body.model
    if head.pin is not None:
        call.pin = _pin(call, head.pin)


def _pin(call: Call, value: bytes) -> Target:
    if not call.caller.policy.pin:
        raise Refusal(403, "pin_not_allowed", "this key may not pin a target", type="permission_error")
    try:
        return parse_target(value.decode("ascii", "replace"))
    except UsageError as error:
        raise Refusal(400, "invalid_pin", error.message) from None


def may(call: Call) -> None:
    """State and the model allow-list; asked before the planner, so that a refusal does not tell what exists."""
    policy = call.caller.policy
    if "all" not in policy.endpoints:
        _refuse_state(call)
    else:
        call.isolated = policy.isolation
    if not policy.models:
        return
    named = [m for m in (call.model, call.pin.model if call.pin else None) if m is not None]
    if not named and not call.asks_for_models:
        raise Refusal(403, "model_not_allowed", "this key may use only some models", type="permission_error")
    for model in named:
        if not policy.allows_model(model):
            name = ascii(model[:100])
            raise Refusal(403, "model_not_allowed", f"this key may not use the model {name}", type="permission_error")


def _refuse_state(call: Call) -> None:
    """What would reach, or leave behind, objects in the provider account that all keys share."""
    if call.body.background:
        raise Refusal(403, "background_not_allowed", "this key may not start background work", type="permission_error")
    name = stored_reference(call.dialect, call.body)
    if name is not None:
        raise Refusal(
            403,
            "stored_object_not_allowed",
            f"this key may not refer to what is stored at the provider ({name}); "
            "a key created with --endpoints all may",
            type="permission_error",
            param=name,
        )


def query_for_provider(query: str) -> str:
    """The query string without anything that looks like a credential or another address."""
    if not query:
        return ""
    pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k.lower() not in _STRAY_CREDENTIALS]
    return "?" + urlencode(pairs) if pairs else ""
