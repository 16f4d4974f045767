"""Access logs of JSON lines that hold the request's body, as nginx writes them with `log_format … escape=json`.

Known by `request_body` beside a method or a URI, under nginx's own names of variables or the short ones many use.
nginx keeps a body only where it fits its buffer (`client_body_buffer_size`), and writes `-` or nothing otherwise.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from opsconsole.staging.exchanges.exchange import Exchange, Recorded
from opsconsole.staging.exchanges.shapes import (
    Fields,
    Unfit,
    body_of,
    guessed_path,
    identifier,
    json_answer,
    number,
    path_of,
    text,
    value,
)

_BODY: Final = ("request_body", "req_body", "requestBody")
_URI: Final = ("request_uri", "uri", "path", "url")
_METHOD: Final = ("request_method", "method")
_STATUS: Final = ("status", "status_code", "upstream_status")
_SECONDS: Final = ("request_time", "upstream_response_time")
_FIRST: Final = ("upstream_header_time",)
_ANSWER: Final = ("response_body", "resp_body", "responseBody")
_TARGET: Final = ("upstream_addr", "proxy_host", "upstream")
_NOTHING: Final = ("", "-")


def from_access_log(fields: Fields, line: int) -> Exchange | None:
    """A request that a server logged with its body; None for a line of another shape."""
    if not any(name in fields for name in _BODY):
        return None
    uri, method = _request(fields)
    if method not in (None, "POST"):
        raise Unfit(f"a {method} request has no body to send again")
    raw = value(fields, *_BODY)
    if raw in (None, *_NOTHING):
        raise Unfit("its body was not logged")
    body = body_of(raw if isinstance(raw, str) else msgspec.json.encode(raw))
    path = path_of(uri) or guessed_path(msgspec.json.decode(body))
    if path is None:
        raise Unfit("neither its path nor its body tells the endpoint")
    status = number(value(fields, *_STATUS))
    answer = _answer(None if status is None else int(status), value(fields, *_ANSWER))
    return Exchange(
        identifier(value(fields, "request_id", "id"), line),
        path,
        body,
        Recorded(
            status=None if status is None else int(status),
            answer=answer,
            first_content_ms=_ms(value(fields, *_FIRST)) if _streams(body) else None,
            total_ms=_ms(value(fields, *_SECONDS)),
            target=text(fields, *_TARGET),
        ),
        line=line,
    )


def _request(fields: Fields) -> tuple[str | None, str | None]:
    """URI and method, from their own fields or from the request line."""
    words = (text(fields, "request") or "").split()
    uri = text(fields, *_URI) or (words[1] if len(words) == 3 else None)
    return uri, text(fields, *_METHOD) or (words[0] if len(words) == 3 else None)


def _ms(seconds: Any) -> float | None:
    """nginx writes seconds with milliseconds; of several tries the last counts."""
    last = seconds.replace(",", " ").split()[-1:] if isinstance(seconds, str) else [seconds]
    found = number(last[0]) if last else None
    return None if found is None or found < 0 else found * 1000


def _answer(status: int | None, body: Any) -> Any:
    if isinstance(body, str) and body not in _NOTHING:
        try:
            body = msgspec.json.decode(body)
        except (msgspec.DecodeError, RecursionError):
            return None
    return json_answer(status, body)


def _streams(body: bytes) -> bool:
    told = msgspec.json.decode(body)
    return bool(told.get("stream"))
