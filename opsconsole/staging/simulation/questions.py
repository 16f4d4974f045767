"""A request as the simulator understands it, whatever its dialect, and what is wrong with one it does not.

Input tokens, the stated rule: each text counts one token for every four bytes of UTF-8 begun, each message three more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keyvault.domain.endpoints import Dialect

BYTES_PER_TOKEN: Final = 4
TOKENS_PER_MESSAGE: Final = 3
MOST_OUTPUT: Final = 1_000_000
"""The largest cap of an answer's length that is taken."""


class Invalid(Exception):
    """The request cannot be answered; `parameter` names the field. No message: the one that is usual for the status."""

    def __init__(self, message: str | None, parameter: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.parameter = parameter
        self.status = status


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One request, read."""

    dialect: Dialect
    model: str
    stream: bool
    texts: tuple[str, ...]
    messages: int
    output_cap: int | None = None
    choices: int = 1
    include_usage: bool = False
    tools: tuple[Tool, ...] = ()
    """The functions to call now; empty: answer in text."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema the answer must fulfil."""
    dimensions: int = 64
    base64: bool = False

    @property
    def input_tokens(self) -> int:
        return sum(tokens_of(text) for text in self.texts) + TOKENS_PER_MESSAGE * self.messages


def tokens_of(text: str) -> int:
    """The stated rule for one text."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def texts_of(content: Any) -> list[str]:
    """The texts of a message's content: a text, a list of parts, or nothing."""
    if isinstance(content, str):
        return [content]
    if isinstance(content, Mapping):
        inner = content.get("text", content.get("content", content.get("output")))
        return texts_of(inner)
    if isinstance(content, Sequence):
        return [text for part in content for text in texts_of(part)]
    return []


def positive(body: Mapping[str, Any], *names: str) -> int | None:
    """The first of the named fields that is given, as a whole number above zero; raises `Invalid`."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Invalid(f"Invalid '{name}': expected a whole number above 0.", name)
        return value
    return None


def output_cap(body: Mapping[str, Any], *names: str) -> int | None:
    """The first of the named caps of the output that is given; raises `Invalid`, also where no model says so much."""
    cap = positive(body, *names)
    if cap is not None and cap > MOST_OUTPUT:
        name = next(name for name in names if body.get(name) is not None)
        raise Invalid(f"{name} is too large: {cap}. This model supports at most {MOST_OUTPUT} output tokens.", name)
    return cap


def messages_of(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The `messages` of a body; raises `Invalid`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise Invalid("Missing required parameter: 'messages'.", "messages")
    return messages
