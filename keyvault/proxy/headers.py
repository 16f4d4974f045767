"""Which headers pass, which way, and why: one table, read by the proxy and printed by `gwctl help headers`.

What is not in the table does not pass. Towards the provider that keeps clients' credentials, cookies, addresses and
internal headers here, and keeps them from steering somebody else's account; towards the client it keeps the provider's
account, limits and cookies here. No value can carry a line break.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import Final

from keyvault.errors import Refusal

Headers = list[tuple[bytes, bytes]]
"""Lower-case names and values, in order."""


class Action(StrEnum):
    """What happens to a header in one direction."""

    FORWARDED = "forwarded"
    STRIPPED = "stripped"
    REPLACED = "replaced"
    """Set by the gateway, whatever was sent."""
    ABSENT = "–"
    """Has no meaning in this direction; stripped."""


F, S, R, N = Action.FORWARDED, Action.STRIPPED, Action.REPLACED, Action.ABSENT


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table. `names` may end in `*`, which is for the reader: unlisted names are stripped anyway."""

    names: tuple[str, ...]
    request: Action
    answer: Action
    why: str


TABLE: Final = (
    Rule(
        ("authorization", "x-api-key", "api-key", "x-goog-api-key"),
        R,
        S,
        "the client's key ends here; the upstream's credential is set from the vault",
    ),
    Rule(
        ("proxy-*", "x-auth-*", "cf-aig-*", "helicone-*", "x-portkey-*", "x-litellm-*"),
        S,
        S,
        "credentials and orders for other proxies",
    ),
    Rule(
        ("cookie", "set-cookie"),
        S,
        S,
        "sessions do not cross the gateway; a provider's cookie would be shared by all clients",
    ),
    Rule(("host",), R, N, "the upstream's own host"),
    Rule(("content-type",), F, F, "says how to read the body"),
    Rule(("content-length", "transfer-encoding"), R, R, "each side is framed anew"),
    Rule(
        ("connection", "keep-alive", "te", "trailer", "upgrade", "expect", "names listed in connection"),
        S,
        S,
        "hop by hop (RFC 9110, 7.6.1)",
    ),
    Rule(("accept-encoding",), R, N, "identity: the meter reads what passes"),
    Rule(
        ("content-encoding",),
        S,
        F,
        "encoded requests are refused; a provider that encodes all the same is relayed as it is, its usage unknown",
    ),
    Rule(("accept", "user-agent"), F, N, "what the client takes, and which client it is"),
    Rule(
        (
            "openai-organization",
            "openai-project",
            "x-goog-user-project",
            "anthropic-organization-id",
            "anthropic-workspace-id",
        ),
        S,
        S,
        "whose account is billed is the operator's affair",
    ),
    Rule(
        ("openai-beta", "anthropic-beta", "anthropic-version"),
        F,
        N,
        "which shape of the API the client was written for",
    ),
    Rule(("x-client-request-id",), R, S, "the id of the attempt in the ledger, to be found at the provider"),
    Rule(("x-request-id", "request-id"), S, R, "towards the client our request id; the provider's is in the ledger"),
    Rule(("idempotency-key", "x-idempotency-key"), S, N, "keys of two tenants would meet in one provider account"),
    Rule(("x-stainless-*",), S, N, "the SDK's telemetry of the client's machine"),
    Rule(
        ("x-forwarded-*", "forwarded", "via", "x-real-ip", "cf-*", "true-client-ip"),
        S,
        S,
        "who the client is stays here; which network the provider uses stays there",
    ),
    Rule(("traceparent", "tracestate", "baggage", "x-amzn-*", "x-b3-*"), S, S, "internal traces"),
    Rule(("x-gateway-*",), S, R, "words between client and gateway"),
    Rule(("http-referer", "x-title"), F, N, "names the application at OpenRouter"),
    Rule(
        ("x-grok-conv-id", "x-session-affinity"),
        F,
        N,
        "keeps a conversation on a machine with a warm prompt cache (xAI, Fireworks)",
    ),
    Rule(("range", "if-range", "if-none-match", "if-modified-since"), F, N, "downloads on paths that are relayed"),
    Rule(
        ("content-disposition", "content-language", "content-range", "accept-ranges", "etag", "last-modified"),
        S,
        F,
        "describe the answer's body",
    ),
    Rule(("cache-control", "date", "deprecation", "sunset"), S, F, "describe the answer"),
    Rule(("retry-after", "retry-after-ms", "x-should-retry"), N, F, "SDKs wait as they say"),
    Rule(
        ("x-ratelimit-*", "anthropic-ratelimit-*"),
        N,
        R,
        "the key's own limits, where it has any; those of the operator's account stay here",
    ),
    Rule(("location",), N, S, "redirects are never followed, nor passed on"),
    Rule(
        ("strict-transport-security", "alt-svc", "server", "x-powered-by", "report-to", "nel"),
        N,
        S,
        "about the provider's host, not this one",
    ),
    Rule(("openai-*", "x-ms-*", "x-groq-*", "other headers"), S, S, "what is not in this table does not pass"),
)

TO_PROVIDER: Final = frozenset(n.encode() for rule in TABLE if rule.request is F for n in rule.names)
TO_CLIENT: Final = frozenset(n.encode() for rule in TABLE if rule.answer is F for n in rule.names)
_ONCE: Final = frozenset({b"content-type", b"anthropic-version", b"user-agent"})
_BODILESS: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
_USUAL_CONNECTION: Final = frozenset({b"keep-alive", b"close"})
_PROVIDER_IDS: Final = (
    b"x-request-id",
    b"request-id",
    b"apim-request-id",
    b"x-amzn-requestid",
    b"x-ms-request-id",
    b"cf-ray",
)
"""The best first."""
_IS_PROVIDER_ID: Final = frozenset(_PROVIDER_IDS)
_VALUE: Final = itemgetter(1)
_BREAKS: Final = b"\r\n\0"


def to_provider(
    method: str,
    path: str,
    request_headers: Sequence[tuple[bytes, bytes]],
    *,
    host: bytes,
    auth: Sequence[tuple[bytes, bytes]],
    extra: Mapping[str, str],
    request_id: str,
    content_length: int,
) -> bytes:
    """The whole head of a request as it goes to the provider, its blank line included.

    `extra`: the upstream's own headers, each sent unless the client sent that header and it passes. Raises `Refusal`.
    """
    opening = to_provider_opening(method, path, request_headers, host=host, auth=auth, extra=extra)
    return opening + closing(method, request_id, content_length)


def to_provider_opening(
    method: str,
    path: str,
    request_headers: Sequence[tuple[bytes, bytes]],
    *,
    host: bytes,
    auth: Sequence[tuple[bytes, bytes]],
    extra: Mapping[str, str],
) -> bytes:
    """Of the head for a provider, what is the same whenever a client's head is the same. Raises `Refusal`."""
    if not path.isascii():
        raise Refusal(400, "invalid_path", "the path has characters that are not allowed")
    passed = _passed(request_headers, TO_PROVIDER)
    names = [name for name, _ in passed]
    if len(set(names)) < len(names):
        _refuse_repeated(names)
    own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in extra.items()]
    lines = [f"{method} {path} HTTP/1.1".encode(), b"host: " + host]
    lines += [b"%b: %b" % header for header in passed]
    lines += [b"%b: %b" % header for header in auth]
    lines += [b"%b: %b" % header for header in own if header[0].lower() not in names]
    return _joined(lines)


def closing(method: str, request_id: str, content_length: int) -> bytes:
    """The lines of a head that differ from attempt to attempt, and its end. `request_id` is ours."""
    framing = f"content-length: {content_length}\r\n" if content_length or method not in _BODILESS else ""
    return f"{framing}accept-encoding: identity\r\nx-client-request-id: {request_id}\r\n\r\n".encode()


def _refuse_repeated(names: list[bytes]) -> None:
    for name in _ONCE:
        if names.count(name) > 1:
            raise Refusal(400, "repeated_header", f"the header {name.decode('ascii')} is there twice")


def _joined(lines: list[bytes]) -> bytes:
    """The lines of one head. A line break within one of them would be another header, or another request."""
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or head.find(b"\0") >= 0 or lines[0].count(b" ") != 2:
        raise Refusal(400, "invalid_header", "a header or the path has characters that are not allowed")
    return head + b"\r\n"


def to_client(answer_headers: Sequence[tuple[bytes, bytes]], secrets: Sequence[str] = ()) -> Headers:
    """The headers of a provider's answer that pass to the client, those left out that would show one of `secrets`."""
    passed = _passed(answer_headers, TO_CLIENT)
    values = b"".join(map(_VALUE, passed))  # nearly never is there anything, so all are looked through at once
    if values.find(b"\n") >= 0 or values.find(b"\r") >= 0 or values.find(b"\0") >= 0:  # `in` costs three times as much
        passed = [header for header in passed if len(header[1].translate(None, _BREAKS)) == len(header[1])]
    for secret in secrets:
        if values.find(shown := secret.encode()) >= 0:
            passed = [header for header in passed if shown not in header[1]]
    return passed


def _passed(headers: Sequence[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    """The headers of these names, without those that `Connection` makes hop-by-hop."""
    passed, unusual = [], []
    for header in headers:
        name, value = header
        if name in names:
            passed.append(header)
        elif name == b"connection" and value.lower() not in _USUAL_CONNECTION:
            unusual.append(value)
    if unusual:
        hop = {word.strip().lower() for value in unusual for word in value.split(b",")} - {b"content-type"}
        passed = [header for header in passed if header[0] not in hop]
    return passed


def request_id_headers(request_id: str) -> Headers:
    """Our id of the request, under the name that OpenAI's SDK reads and under Anthropic's."""
    value = request_id.encode()
    return [(b"x-request-id", value), (b"request-id", value)]


def provider_request_id(answer_headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """The provider's own id of the request, for the ledger; None where it gives none that can be shown."""
    found = dict(answer_headers)
    if _IS_PROVIDER_ID.isdisjoint(found):
        return None
    value = next(found[name] for name in _PROVIDER_IDS if name in found)
    text = value[:200].decode("ascii", "replace")
    return text if text and text.isprintable() else None
