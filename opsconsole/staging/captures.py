"""A captured exchange as one line of JSON, which `gwctl replay` and `gwctl compare` read.

Bodies that are JSON stand there as JSON, with the numbers as they were written; a stream stands there as its text, and
what is neither as base64.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import msgspec

from keyvault.captures.captured import Answer, Captured
from keyvault.clock import rfc3339
from keyvault.money import CURRENCY, format_usd

_check_json: Final = msgspec.json.Decoder(msgspec.Raw).decode
_encode: Final = msgspec.json.Encoder().encode


def line_of(captured: Captured) -> str:
    """The line, its end included."""
    usage = captured.usage
    told: dict[str, Any] = {
        "id": captured.id,
        "at": rfc3339(captured.at),
        "method": captured.method,
        "path": captured.path,
        "query": captured.query or None,
        "headers": dict(captured.headers),
        "body": None if captured.body is None else _body(captured.body),
        "response": None if captured.answer is None else _response(captured.answer),
        "recorded": {
            "first_content_ms": captured.first_content_ms,
            "total_ms": captured.total_ms,
            "usage": None if usage is None else {"input": usage.input, "output": usage.output},
            "cost": None if captured.cost_pico is None else format_usd(captured.cost_pico),
            "currency": CURRENCY,
            "target": captured.target,
            "outcome": captured.outcome,
            "error_code": captured.error_code,
        },
        "key": captured.key,
        "customer": captured.customer,
        "project": f"{captured.customer}/{captured.project}",
        "tags": json.loads(captured.tags) if captured.tags else None,
        "redacted": captured.redacted,
        "cut": captured.cut,
    }
    return _encode(told).decode() + "\n"


def _response(answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status,
        "headers": dict(answer.headers),
        "streamed": answer.streamed,
        "whole": answer.whole,
        "body": _body(answer.body) if answer.body else None,
    }


def _body(body: bytes) -> msgspec.Raw | str:
    try:
        _check_json(body)
        return msgspec.Raw(msgspec.json.format(body, indent=-1))  # one line, every number as it was
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return base64.b64encode(body).decode()
