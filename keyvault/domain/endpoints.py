"""The API paths the gateway knows, and which dialect each speaks.

A path that is not listed is *stateful or unknown*: it is relayed only for keys whose policy opens it, because such
objects (files, batches, stored responses, …) belong to the provider account and would be shared between tenants.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Dialect(StrEnum):
    """A request shape; a target serves a request only if its upstream speaks the dialect."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MODERATIONS = "moderations"
    IMAGES = "images"
    AUDIO = "audio"
    MESSAGES = "messages"
    OTHER = "other"


class Family(StrEnum):
    """Whose SDK reads the answer: decides the shape of errors and of the stream's end."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One known method and path (below `/v1`)."""

    path: str
    dialect: Dialect
    multipart: bool = False
    free: bool = False
    """No provider takes money for it."""


ENDPOINTS: Final[dict[str, Endpoint]] = {
    e.path: e
    for e in (
        Endpoint("/chat/completions", Dialect.CHAT),
        Endpoint("/completions", Dialect.COMPLETIONS),
        Endpoint("/responses", Dialect.RESPONSES),
        Endpoint("/embeddings", Dialect.EMBEDDINGS),
        Endpoint("/moderations", Dialect.MODERATIONS),
        Endpoint("/images/generations", Dialect.IMAGES),
        Endpoint("/images/edits", Dialect.IMAGES, multipart=True),
        Endpoint("/images/variations", Dialect.IMAGES, multipart=True),
        Endpoint("/audio/speech", Dialect.AUDIO),
        Endpoint("/audio/transcriptions", Dialect.AUDIO, multipart=True),
        Endpoint("/audio/translations", Dialect.AUDIO, multipart=True),
        Endpoint("/messages", Dialect.MESSAGES),
        Endpoint("/messages/count_tokens", Dialect.MESSAGES, free=True),
    )
}
"""All are POST, and none lets one tenant read what another stored at the provider."""
