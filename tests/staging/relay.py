"""A relay between a client and a provider, which can plant one fault into every answer that passes.

It takes an answer in whole, alters it and sends it on. Without a fault it is a plain relay: same status, same headers
but for the framing, same bytes. It may have several providers and then takes them in turn, so that no two answers are
the same, as with real models.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx

from keyvault.secrets import Secret
from opsconsole.staging.asking import Place
from tests.proxy.harness import UPSTREAM_SECRET
from tests.proxy.scripted import Line, Provider, Seen

_FRAMING: Final = ("content-length", "transfer-encoding", "connection", "host", "accept-encoding")


@dataclass(frozen=True)
class Passing:
    """An answer on its way."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def streams(self) -> bool:
        return self.body.startswith((b"data:", b"event:"))

    @property
    def events(self) -> list[bytes]:
        return [event + b"\n\n" for event in self.body.split(b"\n\n") if event]

    def with_events(self, events: Sequence[bytes]) -> Passing:
        return replace(self, body=b"".join(events))


Fault = Callable[[Passing], Passing]


def plain(passing: Passing) -> Passing:
    return passing


def dropped_field(passing: Passing) -> Passing:
    return replace(passing, body=re.sub(rb'"created":\d+,', b"", passing.body))


def changed_type(passing: Passing) -> Passing:
    return replace(passing, body=re.sub(rb'"total_tokens":(\d+)', rb'"total_tokens":"\1"', passing.body))


def missing_done(passing: Passing) -> Passing:
    return replace(passing, body=passing.body.replace(b"data: [DONE]\n\n", b""))


def merged_tool_deltas(passing: Passing) -> Passing:
    """All arguments of a tool call in one event."""
    kept: list[Any] = []
    for event in passing.events if passing.streams else []:
        call = _argument_of(event)
        before = _argument_of(kept[-1]) if kept else None
        if call is None or before is None or call[0] != before[0] or "id" in call[1]:
            kept.append(event)
            continue
        chunk = json.loads(event[6:])
        function = chunk["choices"][0]["delta"]["tool_calls"][0]["function"]
        function["arguments"] = before[1]["function"]["arguments"] + function["arguments"]
        if "id" in before[1]:
            kept.append(event)
        else:
            kept[-1] = b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"
    return passing.with_events(kept) if kept else passing


def _argument_of(event: bytes) -> tuple[int, dict[str, Any]] | None:
    if b'"tool_calls":[' not in event:
        return None
    (call,) = json.loads(event[6:])["choices"][0]["delta"]["tool_calls"]
    return call["index"], call


def lost_usage(passing: Passing) -> Passing:
    """The event that tells the usage does not come; a whole answer tells none."""
    if passing.streams:
        return passing.with_events([event for event in passing.events if b'"choices":[],' not in event])
    return replace(passing, body=re.sub(rb',"usage":\{.*\}\}$', b"}", passing.body))


def wrong_status(passing: Passing) -> Passing:
    return replace(passing, status=500) if passing.status == 400 else passing


def swallowed_error_body(passing: Passing) -> Passing:
    return replace(passing, body=b'{"error":"upstream error"}') if passing.status >= 400 else passing


def reordered_events(passing: Passing) -> Passing:
    """The last piece of content changes places with what says that the answer is finished."""
    events = passing.events
    at = next((n for n, event in enumerate(events) if b'"finish_reason":"' in event), 0)
    if at:
        events[at - 1], events[at] = events[at], events[at - 1]
    return passing.with_events(events) if at else passing


def reencoded_number(passing: Passing) -> Passing:
    return replace(passing, body=re.sub(rb"(\d)\.0(?=[,}\]])", rb"\1", passing.body))


def altered_header(passing: Passing) -> Passing:
    headers = [(name, "text/plain" if name == "content-type" else value) for name, value in passing.headers]
    return replace(passing, headers=tuple(headers))


@contextlib.asynccontextmanager
async def relay(*providers: str, fault: Fault = plain) -> AsyncIterator[str]:
    """The origin of a relay before providers of these origins."""
    turns = itertools.cycle(providers)
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:

        async def script(seen: Seen, line: Line) -> None:
            headers = [(name, value) for name, value in seen.headers if name not in _FRAMING]
            url = next(turns) + seen.path
            answer = await client.request(seen.method, url, headers=headers, content=seen.body)
            passed = tuple((name, value) for name, value in answer.headers.items() if name not in _FRAMING)
            altered = fault(Passing(answer.status_code, passed, answer.content))
            head = [f"HTTP/1.1 {altered.status} X", *(f"{name}: {value}" for name, value in altered.headers)]
            head.append(f"content-length: {len(altered.body)}")
            await line.send("\r\n".join(head).encode() + b"\r\n\r\n" + altered.body)

        async with Provider(script).running() as provider:
            yield provider.url


def place(origin: str, key: str = UPSTREAM_SECRET) -> Place:
    return Place.at(origin, Secret(key))
