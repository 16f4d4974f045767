"""Conversation state that only its maker can read, and what that means for a plan.

A response that is stored at the provider is named by its id (`previous_response_id`). Reasoning goes back and forth
sealed: the `encrypted_content` of the responses API, the `signature` and the redacted `data` of Anthropic's thinking.
None of it is kept here or anywhere: a digest is enough to know it again. Texts are searched as bytes; without the mark
of such state in them, one search is all it costs; with it they are read from the end, where the newest is. What does
not look like sealed text is taken for a tool's argument of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.domain.routes import Target
from keyvault.errors import Refusal
from keyvault.routing.planner import Planned, Planner

CARRYING: Final = {Dialect.RESPONSES: b'"encrypted_content"', Dialect.MESSAGES: b'thinking"'}
"""The dialects whose conversations carry state, and the mark of sealed reasoning in their texts."""

MOST_LOOKED_AT: Final = 8
"""Of the states in a conversation, the newest: all of them come from one target, as a rule."""

_MOST_TRIED: Final = 64
"""Places where some may be, from the end: also where most of them turn out to be none, it takes a bounded time."""

_VALUE: Final = re.compile(rb'\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_NAMES: Final = {Dialect.RESPONSES: b'"encrypted_content"', Dialect.MESSAGES: b'"signature"'}
_REDACTED: Final = b'"redacted_thinking"'
_DATA: Final = b'"data"'
_OPAQUE: Final = re.compile(r"[A-Za-z0-9+/=_.-]{32}")
"""How sealed text begins."""
_text = msgspec.json.Decoder(str)


@dataclass(frozen=True, slots=True)
class Carried:
    """The state that a request carries, as digests."""

    response: bytes | None = None
    """Of the stored response that it goes on from."""
    reasoning: tuple[bytes, ...] = ()
    """Of sealed reasoning, the newest first."""

    def __bool__(self) -> bool:
        return self.response is not None or bool(self.reasoning)

    @property
    def digests(self) -> tuple[bytes, ...]:
        return self.reasoning if self.response is None else (self.response, *self.reasoning)


NOTHING: Final = Carried()


def digest_of_response(response_id: str) -> bytes:
    return _digest("response", response_id)


def digest_of_reasoning(sealed: str) -> bytes | None:
    """None for what does not look like sealed text."""
    return _digest("reasoning", sealed) if _OPAQUE.match(sealed) else None


def reasoning_in(dialect: Dialect, text: bytes) -> list[bytes]:
    """The digests of the newest sealed reasoning in a JSON text, the newest first, of a dialect that carries state."""
    if CARRYING[dialect] not in text:
        return []
    found: Iterable[tuple[int, str]] = _sealed(text, _NAMES[dialect])
    if dialect is Dialect.MESSAGES and _REDACTED in text:
        found = sorted([*found, *_redacted(text)], reverse=True)
    digests = (digest_of_reasoning(value) for _, value in found)
    return list(islice((digest for digest in digests if digest is not None), MOST_LOOKED_AT))


def _sealed(text: bytes, name: bytes) -> Iterator[tuple[int, str]]:
    """Place and value of the texts under a name, from the end."""
    for at in _backwards(text, name):
        match = _VALUE.match(text, at + len(name))
        if match is not None:
            yield at, _decoded(match[1])


def _redacted(text: bytes) -> Iterator[tuple[int, str]]:
    """Place and data of the blocks of redacted thinking, from the end: plain objects without others in them."""
    for at in _backwards(text, _REDACTED):
        block = text[text.rfind(b"{", 0, at) + 1 : text.find(b"}", at)]
        yield from ((at, data) for _, data in _sealed(block, _DATA))


def _backwards(text: bytes, mark: bytes) -> Iterator[int]:
    at = len(text)
    for _ in range(_MOST_TRIED):
        at = text.rfind(mark, 0, at)
        if at < 0:
            return
        yield at


def carried(dialect: Dialect, talk: bytes, previous: bytes) -> Carried:
    """What a request carries: `talk` is its conversation, `previous` its `previous_response_id`, both as JSON."""
    reasoning = reasoning_in(dialect, talk)
    response = _decoded(previous[1:-1]) if previous.startswith(b'"') else ""
    if not reasoning and not response:
        return NOTHING
    return Carried(digest_of_response(response) if response else None, tuple(reasoning))


@dataclass(frozen=True, slots=True)
class Maker:
    """The target that decides where a request goes: it has made what the request carries."""

    target: Target
    stored: bool
    """What it made is a stored response, not sealed reasoning."""


def maker_of(asked: Carried, known: Mapping[bytes, Target]) -> Maker | None:
    """Of the stored response, else of the newest reasoning that is on record."""
    if asked.response is not None and asked.response in known:
        return Maker(known[asked.response], stored=True)
    return next((Maker(known[digest], stored=False) for digest in asked.reasoning if digest in known), None)


def place(
    planner: Planner, model: str, dialect: Dialect, plan: tuple[Planned, ...], maker: Maker
) -> tuple[Planned, ...]:
    """A plan for a request whose state is another's. Raises `Refusal` where nobody can read it.

    Sealed reasoning goes to the target that made it and to no other; where that serves the model no more, other
    targets of the same upstream come first, and the provider judges what it is sent. A stored response is known to one
    upstream alone: only its targets are tried, the one that made it first.
    """
    bound = planner.bound(model, dialect, maker.target)
    if bound is not None and not maker.stored:
        return (bound,)
    there = tuple(each for each in plan if each.upstream.name == maker.target.upstream and each.target != maker.target)
    if not maker.stored:
        return there + tuple(each for each in plan if each not in there)
    if bound is None and not there:
        text = "the upstream that keeps the previous response does not serve this model any more"
        raise Refusal(400, "previous_response_not_found", text, param="previous_response_id")
    return there if bound is None else (bound, *there)


def _decoded(value: bytes) -> str:
    """The text of a JSON string without its quotes; empty for what is none."""
    try:
        return value.decode("ascii") if b"\\" not in value else _text.decode(b'"%b"' % value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _digest(kind: str, text: str) -> bytes:
    return blake2b(f"{kind}\0{text}".encode(), digest_size=16).digest()
