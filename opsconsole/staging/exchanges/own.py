"""Lines that were meant to be sent: a capture of this gateway, the input of a batch, plain requests."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
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
    path = path_of(text(fields, "path"))
    given = value(fields, "body")
    if path is None or given is None:
        raise Unfit("its body was not kept" if path else "it has no path")
    told = objects(fields, "recorded") or {}
    answer = _captured_answer(objects(fields, "response") or {})
    counts = told.get("usage")
    target = told.get("target")
    return Exchange(
        identifier(value(fields, "id"), line),
        path,
        body_of(_unpacked(given) if isinstance(given, str) else bytes(fields["body"])),
        Recorded(
            status=None if answer is None else answer.status,
            answer=answer,
            first_content_ms=number(told.get("first_content_ms")),
            total_ms=number(told.get("total_ms")),
            usage=usage(counts.get("input"), counts.get("output")) if isinstance(counts, dict) else None,
            cost_pico=dollars(told.get("cost")),
            target=target if isinstance(target, str) else None,
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


def _captured_answer(response: dict[str, Any]) -> Answer | None:
    """What the client got; None where nothing was sent, or what was sent could not be kept."""
    status, pairs, body = response.get("status"), response.get("headers"), response.get("body")
    if not isinstance(status, int):
        return None
    headers = (
        tuple((name, each) for name, each in pairs.items() if isinstance(each, str)) if isinstance(pairs, dict) else ()
    )
    raw = _unpacked(body) if isinstance(body, str) else b"" if body is None else msgspec.json.encode(body)
    failure = "the answer was cut" if response.get("whole") is False else None
    answer = Answer(status, headers, raw, failure=failure)
    return replace(answer, events=_events(raw)) if answer.streamed else answer


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
