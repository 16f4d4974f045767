"""Which path speaks which dialect, and the functions that read and write it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keyvault.domain.endpoints import Family
from opsconsole.staging.simulation import chat, embeddings, messages, responses
from opsconsole.staging.simulation.answers import Answer
from opsconsole.staging.simulation.events import Event
from opsconsole.staging.simulation.questions import Question


@dataclass(frozen=True, slots=True)
class Shape:
    """One dialect's reading and writing."""

    family: Family
    read: Callable[[Mapping[str, Any], bool], Question]
    whole: Callable[[Question, Answer], dict[str, Any]]
    stream: Callable[[Question, Answer], Iterator[Event]]
    error_event: Callable[[dict[str, Any], int], bytes]


SHAPES: Final = {
    "/chat/completions": Shape(Family.OPENAI, chat.read_chat, chat.whole, chat.stream, chat.error_event),
    "/completions": Shape(Family.OPENAI, chat.read_completions, chat.whole, chat.stream, chat.error_event),
    "/responses": Shape(Family.OPENAI, responses.read, responses.whole, responses.stream, responses.error_event),
    "/embeddings": Shape(Family.OPENAI, embeddings.read, embeddings.whole, embeddings.stream, embeddings.error_event),
    "/messages": Shape(Family.ANTHROPIC, messages.read, messages.whole, messages.stream, messages.error_event),
    "/messages/count_tokens": Shape(
        Family.ANTHROPIC, messages.read_count, messages.count_whole, messages.stream, messages.error_event
    ),
}
"""By path below `/v1`."""
