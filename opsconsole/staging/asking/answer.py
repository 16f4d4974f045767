"""What came back for one request: status, headers, bytes, events and times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    """Empty where it has none."""
    data: str
    at_ms: float
    """When it had arrived, since the request was sent."""

    def json(self) -> Any:
        """What its data says; None where it is no JSON, such as `[DONE]`."""
        return _decoded(self.data)


@dataclass(frozen=True)
class Answer:
    """Everything about one answer. Where `failure` is told, it is not whole, and there may be none at all."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    """In their order, names in lower case."""
    body: bytes = b""
    """As it came, events included."""
    events: tuple[Event, ...] = ()
    first_content_ms: float | None = None
    """Until the first text, reasoning or tool call of a stream, or the whole of any other answer."""
    total_ms: float = 0.0
    failure: str | None = None
    """Why there is no whole answer, as one line."""

    @property
    def ok(self) -> bool:
        """Whether a whole answer came, and it is no error."""
        return self.failure is None and self.status is not None and 200 <= self.status < 300

    @property
    def streamed(self) -> bool:
        return (self.header("content-type") or "").startswith("text/event-stream")

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in lower case."""
        return next((value for found, value in self.headers if found == name), None)

    @cached_property
    def json(self) -> Any:
        """The body decoded; None where it is no JSON."""
        return _decoded(self.body)


def _decoded(text: str | bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
