"""Errors in the words of each API, so that its official SDK raises the right exception with code, type and message.

OpenAI: `{"error": {message, type, param, code}}`. Anthropic: `{"type": "error", "error": {type, message, details},
request_id}`, where `details.error_code` is our code. In a stream an error is one event of the dialect.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect, Family
from keyvault.errors import Refusal
from keyvault.proxy.dialects.provider_errors import read_error, scrub

__all__ = ["read_error", "render", "scrub", "stream_error"]

_encode = msgspec.json.Encoder().encode

OPENAI_TYPES: Final = {402: "insufficient_quota", 429: "rate_limit_error"}
"""`error.type` by status where the refusal says nothing more precise; from 500 on `server_error`."""

ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""`error.type` by status; else 4xx is `invalid_request_error`, 5xx `api_error`: docs.claude.com/en/api/errors."""

_TIMEOUTS: Final = "_timeout"
_STREAM_TYPES: Final = {"access_withdrawn": "permission_error"}
"""`error.type` of what ends a stream, where it is nobody's failure."""


def render(family: Family, refusal: Refusal, request_id: str) -> bytes:
    """The JSON body of a refusal."""
    if family is Family.ANTHROPIC:
        return _encode(_anthropic(_anthropic_type(refusal.status), refusal.error_code, refusal.message, request_id))
    return _encode({"error": _openai(_openai_type(refusal), refusal.error_code, refusal.message, refusal.param)})


def stream_error(dialect: Dialect, code: str, message: str, request_id: str = "") -> bytes:
    """The event that tells a client in mid-stream that no more will come. Nothing may follow it."""
    kind = "timeout_error" if code.endswith(_TIMEOUTS) else _STREAM_TYPES.get(code, "api_error")
    if dialect is Dialect.MESSAGES:
        return b"event: error\ndata: %b\n\n" % _encode(_anthropic(kind, code, message, request_id))
    error = _openai(_STREAM_TYPES.get(code, "server_error"), code, message, None)
    if dialect is Dialect.RESPONSES:
        # The documented event is flat; the SDK raises on a field `error`, which the real API sends too.
        flat = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0, "error": error}
        return b"event: error\ndata: %b\n\n" % _encode(flat)
    return b"data: %b\n\n" % _encode({"error": error})


def _openai(kind: str, code: str, message: str, param: str | None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": param, "code": code}


def _openai_type(refusal: Refusal) -> str:
    if refusal.type != "invalid_request_error":
        return refusal.type
    return "server_error" if refusal.status >= 500 else OPENAI_TYPES.get(refusal.status, refusal.type)


def _anthropic(kind: str, code: str, message: str, request_id: str) -> dict[str, Any]:
    error = {"type": kind, "message": message, "details": {"error_code": code}}
    return {"type": "error", "error": error, "request_id": request_id or None}


def _anthropic_type(status: int) -> str:
    return ANTHROPIC_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
