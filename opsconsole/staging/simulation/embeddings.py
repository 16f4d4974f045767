"""Embeddings, as OpenAI writes them: numbers or base64, as many dimensions as asked for."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from keyvault.domain.endpoints import Dialect
from opsconsole.staging.simulation.answers import Answer
from opsconsole.staging.simulation.events import Event
from opsconsole.staging.simulation.questions import Invalid, Question, positive, texts_of


def read(body: Mapping[str, Any], _stream: bool) -> Question:
    """Raises `Invalid`."""
    texts = tuple(texts_of(body.get("input")))
    if not texts:
        raise Invalid("Missing required parameter: 'input'.", "input")
    return Question(
        dialect=Dialect.EMBEDDINGS,
        model=str(body["model"]),
        stream=False,
        texts=texts,
        messages=0,
        choices=0,
        dimensions=positive(body, "dimensions") or 64,
        base64=body.get("encoding_format") == "base64",
    )


def whole(question: Question, answer: Answer) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": number, "embedding": _vector(text, question)}
        for number, text in enumerate(question.texts)
    ]
    usage = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
    return {"object": "list", "data": data, "model": answer.model} | ({"usage": usage} if answer.tells_usage else {})


def stream(question: Question, answer: Answer) -> Iterator[Event]:
    """Never streamed."""
    yield from ()


def error_event(error: dict[str, Any], _number: int) -> bytes:
    return b""


def _vector(text: str, question: Question) -> list[float] | str:
    """Numbers between -1 and 1 that depend on the text alone."""
    stream = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(2 * question.dimensions)
    numbers = [number / 32768 for number in struct.unpack(f"<{question.dimensions}h", stream)]
    if question.base64:
        return base64.b64encode(struct.pack(f"<{question.dimensions}f", *numbers)).decode()
    return numbers
