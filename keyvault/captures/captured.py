"""One exchange that was captured: what a client sent, what it got, and what the ledger says of it.

It is written as compressed MessagePack, which carries bodies as the bytes they are; then it is sealed.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from keyvault.clock import from_ms
from keyvault.domain.ledger import Usage
from keyvault.errors import Damaged

_COMPRESSION: Final = 1
"""Text shrinks to a fourth at this level; the best would take ten times as long for a tenth less."""

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, in the order they came."""


class Answer(Struct, frozen=True):
    """What the client got."""

    status: int
    headers: Headers
    body: bytes
    """Of a stream its events, one after the other, as they were sent."""
    streamed: bool = False
    whole: bool = True
    """False where it was cut: by the client, by the gateway, or by the bound on what is kept."""


class Captured(Struct, frozen=True):
    """One exchange."""

    id: str
    """The request's id, as in the ledger."""
    at_ms: int
    method: str
    path: str
    """As the client called it, such as `/v1/chat/completions`."""
    headers: Headers
    """Those that a provider may see; never a credential or a cookie."""
    body: bytes | None
    """As it came; None where it was larger than what is kept, or could not be redacted."""
    answer: Answer | None
    """None where the client left before anything was sent, or where the answer could not be redacted."""
    key: str
    customer: str
    project: str
    """Who pays: `web` of the customer."""
    query: str = ""
    model: str | None = None
    """The alias that was asked for."""
    target: str | None = None
    """What served it last: `openai/gpt-5`."""
    outcome: str | None = None
    """Of its last attempt: served, failed or aborted; None where none was made."""
    error_code: str | None = None
    first_content_ms: int | None = None
    """From the request's first byte on."""
    total_ms: int | None = None
    usage: Usage | None = None
    cost_pico: int | None = None
    tags: str | None = None
    """As JSON."""
    redacted: bool = False
    """Something was taken out of it, or left out because nobody could look into it."""
    cut: bool = False
    """Something is missing: it was too large, or many large ones came at once."""

    @property
    def at(self) -> datetime:
        return from_ms(self.at_ms)

    @property
    def replayable(self) -> bool:
        return self.body is not None


def pack(captured: Captured) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(captured), _COMPRESSION)


def unpack(data: bytes) -> Captured:
    """Raises `Damaged` for what was not packed by a version that is known here."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(data), type=Captured)
    except (zlib.error, msgspec.DecodeError):
        raise Damaged("a captured exchange was written by a newer version of this program, or is damaged") from None
