"""Most requests: head fields, settings that are numbers, and talk that is nothing but text, all checked in one pass.

What does not fit is looked at field by field, which says what is wrong if anything is.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from keyvault.proxy.dialects.bodies import MAX_CHOICES, MAX_MODEL_CHARACTERS, MAX_TOKENS
from keyvault.proxy.dialects.plain import Talk

EVERYDAY: Final = frozenset(
    {"model", "stream", "n", "max_tokens", "max_completion_tokens", "max_output_tokens"}
    | {"messages", "input", "system", "instructions"}
    | {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "user", "store"}
)
"""Fields that, where a body fits `Usual`, name nothing that lies elsewhere and make nothing dearer: a body without any
other need not be looked through for that."""

_Cap = Annotated[int, Meta(ge=0, le=MAX_TOKENS)] | None


class _Options(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class Usual(msgspec.Struct, gc=False):
    """The fields of most requests, about in the order in which clients send them: so the decoder finds a name soonest.
    Of a field that stands twice it checks every value."""

    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
    messages: Talk | None = None
    max_tokens: _Cap = None
    max_completion_tokens: _Cap = None
    temperature: float | None = None
    stream: bool | None = None
    stream_options: _Options | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    top_p: float | None = None
    top_k: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: float | None = None
    user: str | None = None
    store: bool | None = None
    input: Talk | None = None
    instructions: Talk | None = None
    system: Talk | None = None
    prompt: Talk | None = None
    max_output_tokens: _Cap = None
    background: bool | None = None


_decode = msgspec.json.Decoder(Usual).decode


def read_usual(body: bytes) -> Usual | None:
    """The fields of a body; None where it does not fit."""
    try:
        usual = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return usual if usual.model.isprintable() else None
