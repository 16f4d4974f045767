"""Server-sent events: the bytes of one, and how many output tokens it carries."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

DONE: Final = b"data: [DONE]\n\n"


class Event(NamedTuple):
    data: bytes
    tokens: int = 0


def data_event(value: Any, tokens: int = 0) -> Event:
    """An event without a name, as chat and completions send."""
    return Event(b"data: " + msgspec.json.encode(value) + b"\n\n", tokens)


def named_event(value: dict[str, Any], tokens: int = 0) -> Event:
    """An event named after its value's `type`, as responses and messages send."""
    return Event(b"event: %b\ndata: %b\n\n" % (value["type"].encode(), msgspec.json.encode(value)), tokens)
