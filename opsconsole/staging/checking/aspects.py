"""What can be the same or differ between two answers: an aspect, and the facts that give each aspect its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

ORDER: Final = (
    "answer",
    "status",
    "body",
    "header",
    "order",
    "events",
    "event",
    "first event",
    "last event",
    "usage event",
    "tool calls",
    "answer as JSON",
    "request id",
    "field",
    "spelling",
    "value",
    "usage sum",
    "SDK",
)
"""What an aspect can be about, what weighs most first."""


class Aspect(NamedTuple):
    """One aspect of an answer."""

    what: str
    """One of `ORDER`."""
    path: str = ""
    """Which header, field, kind of event, or view of the SDK."""
    event: str = ""
    """Which kind of event has the field; empty for the body of an answer that is no stream."""

    def __str__(self) -> str:
        where = f" in {self.event} events" if self.event else ""
        return f"{self.what} {self.path}".rstrip() + where

    @property
    def weight(self) -> tuple[int, int, str]:
        return ORDER.index(self.what), self.path.count("."), str(self)


Facts = Mapping[Aspect, str]
"""The value of each aspect that an answer has."""
