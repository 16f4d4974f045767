"""Error answers as the two families of providers write them."""

from __future__ import annotations

from typing import Any, Final

from keyvault.domain.endpoints import Family

_OPENAI: Final = {
    400: ("invalid_request_error", None, "Your request was malformed or missing some required parameters."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported.",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("server_error", "timeout", "The request timed out."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    529: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_ANTHROPIC: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error_body(
    family: Family, status: int, message: str | None, parameter: str | None, request_id: str
) -> dict[str, Any]:
    """The JSON of an error answer; without a message, the one that is usual for the status."""
    kind, code, usual = _OPENAI[status]
    if family is Family.ANTHROPIC:
        error = {"type": _ANTHROPIC.get(status, "api_error"), "message": message or usual}
        return {"type": "error", "error": error, "request_id": request_id}
    return {"error": {"message": message or usual, "type": kind, "param": parameter, "code": code}}


def error_headers(status: int) -> list[tuple[str, str]]:
    """What rate-limited and overloaded providers add."""
    if status == 429:
        return [("retry-after", "1"), ("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "0")]
    return [("retry-after", "1")] if status in (503, 529) else []
