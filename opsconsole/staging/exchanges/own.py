"""Lines that were meant to be sent: a capture of this gateway, the input of a batch, plain requests."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from keyvault.proxy.dialects.sse import SseFramer, read_event
from opsconsole.staging.asking import Answer, Event
from opsconsole.staging.exchanges.exchange import Exchange, Recorded
from opsconsole.staging.exchanges.shapes import (
    Fields,
    Unfit,
    body_of,
    dollars,
    guessed_path,
    identifier,
    number,
    objects,
    path_of,
    text,
    usage,
    value,
)

_BESIDE: Final = frozenset({"id", "custom_id", "task", "expected", "path", "url", "body"})
"""Fields of a plain line that are no part of a request."""


def from_batch(fields: Fields, line: int) -> Exchange | None:
    """The input of an OpenAI batch. https://platform.openai.com/docs/guides/batch"""
    if "custom_id" not in fields or "url" not in fields:
        return None
    if "body" not in fields:
        raise Unfit("a line of a batch without its body")
    return Exchange(
        identifier(value(fields, "custom_id"), line),
        path_of(text(fields, "url")) or "/chat/completions",
        body_of(bytes(fields["body"])),
        task=text(fields, "task"),
        expected=objects(fields, "expected"),
        line=line,
    )


def from_plain(fields: Fields, line: int) -> Exchange | None:
    """A request body, or one under `body`, with what a person put beside it."""
    path = path_of(text(fields, "path", "url"))
    if "body" in fields:
        told = value(fields, "body")
        body = body_of(told if isinstance(told, str) else bytes(fields["body"]))
        guessed = guessed_path(msgspec.json.decode(body))
    else:
        guessed = guessed_path(fields)
        if guessed is None:
            return None
        own = {name: raw for name, raw in fields.items() if name not in _BESIDE}
        if guessed == "/completions" and path is None:
            guessed, own = "/chat/completions", _as_chat(own)
        body = msgspec.json.encode(own)
    if path is None and guessed is None:
        raise Unfit("its body has neither messages, input nor prompt: name its path")
    return Exchange(
        identifier(value(fields, "id", "custom_id"), line),
        path or guessed or "",
        body,
        task=text(fields, "task"),
        expected=objects(fields, "expected"),
        line=line,
    )


def from_capture(fields: Fields, line: int) -> Exchange | None:
    """A line of `gwctl captures export`."""
    if "recorded" not in fields or "response" not in fields:
        return None
    method = text(fields, "method")
    if method != "POST":
        raise Unfit(f"a {method or 'nameless'} request has no body to send again")
    given = value(fields, "body")
    if isinstance(given, str):
        body = body_of(_unpacked(given))
    else:
        body = body_of(bytes(fields.get("body", msgspec.Raw(b"null"))))
    told = objects(fields, "recorded") or {}
    answer = _captured_answer(objects(fields, "response") or {})
    counts = told.get("usage") or {}
    return Exchange(
        identifier(value(fields, "id"), line),
        path_of(text(fields, "path")) or "",
        body,
        Recorded(
            status=answer.status,
            answer=answer,
            first_content_ms=number(told.get("first_content_ms")),
            total_ms=number(told.get("total_ms")),
            usage=usage(counts.get("input"), counts.get("output")) if isinstance(counts, dict) else None,
            cost_pico=dollars(told.get("cost")),
            target=told.get("target"),
        ),
        line=line,
    )


def _as_chat(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """`{"prompt": "…"}` alone is a person's short way of asking: one message of a chat."""
    asked = msgspec.json.decode(fields.pop("prompt"))
    if not isinstance(asked, str):
        raise Unfit("its prompt is not a text")
    messages = msgspec.Raw(msgspec.json.encode([{"role": "user", "content": asked}]))
    return {**fields, "messages": messages}


def _captured_answer(response: dict[str, Any]) -> Answer:
    status = response.get("status")
    pairs = response.get("headers") or {}
    headers = tuple((str(name), str(each)) for name, each in (pairs.items() if isinstance(pairs, dict) else pairs))
    body = response.get("body")
    raw = _unpacked(body) if isinstance(body, str) else b"" if body is None else msgspec.json.encode(body)
    answer = Answer(status if isinstance(status, int) else None, headers, raw)
    return Answer(answer.status, headers, raw, _events(raw)) if answer.streamed else answer


def _events(body: bytes) -> tuple[Event, ...]:
    framer = SseFramer()
    read = [read_event(event) for event in [*framer.feed(body), framer.flush()]]
    return tuple(
        Event(name.decode("utf-8", "replace"), data.decode("utf-8", "replace"), 0.0) for name, data in read if data
    )


def _unpacked(given: str) -> bytes:
    """Bytes that are no JSON stand in base64, or as they are where they are text."""
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return given.encode()
