"""What the simulated model says: the same for the same seed, model and texts.

An answer is made of pieces, and a piece is one output token, so output is counted exactly however far a stream came.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opsconsole.staging.simulation.questions import Question

_PROSE: Final = (
    "the gateway keeps every request on record before it leaves and settles it when the answer ends so that a count "
    "never drifts from what a provider saw while clients read tokens as they come and nobody waits for a slow ledger "
    "because one writer gathers what is due and makes it durable at once"
)
WORDS: Final = tuple(_PROSE.split())
LONG: Final = 2000
OVERRUN: Final = 500
REASONING: Final = 7
EPOCH: Final = 1_790_000_000
"""Answers are dated after this, by their digest: equal questions give equal answers."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; its arguments are JSON in pieces."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the answers to a question."""

    pieces: tuple[str, ...]
    reasoning: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    truncated: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        return len(self.reasoning) + len(self.pieces) + sum(len(call.pieces) for call in self.calls)


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything the model says to one question."""

    id: str
    model: str
    created: int
    input_tokens: int
    cached_tokens: int
    choices: tuple[Choice, ...]
    tells_usage: bool = True

    @property
    def output_tokens(self) -> int:
        return sum(choice.tokens for choice in self.choices)

    @property
    def reasoning_tokens(self) -> int:
        return sum(len(choice.reasoning) for choice in self.choices)


def answer(question: Question, seed: int, behaviour: str, lengths: tuple[int, int]) -> Answer:
    """The answer to a question. `lengths`: fewest and most tokens of a plain text."""
    digest = hashlib.blake2b(f"{seed}\0{question.model}\0".encode(), digest_size=12)
    for text in question.texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    rng = random.Random(digest.digest())  # noqa: S311 - not for secrets
    return Answer(
        id=digest.hexdigest(),
        model=question.model,
        created=EPOCH + digest.digest()[0] * 3600,
        input_tokens=question.input_tokens,
        cached_tokens=question.input_tokens // 2 if behaviour == "cached" and question.choices else 0,
        choices=tuple(_choice(question, rng, behaviour, lengths) for _ in range(question.choices)),
        tells_usage=behaviour != "nousage",
    )


def _choice(question: Question, rng: random.Random, behaviour: str, lengths: tuple[int, int]) -> Choice:
    if behaviour == "empty":
        return Choice(())
    if question.tools:
        return Choice((), calls=tuple(_call(tool.name, tool.schema, rng) for tool in question.tools))
    reasoning = _words(rng, REASONING) if behaviour == "reasoning" else ()
    if question.schema is not None:
        pieces = split(json.dumps(fill(question.schema, rng, question.schema)))
    else:
        pieces = _words(rng, {"long": LONG, "overrun": OVERRUN}.get(behaviour) or rng.randint(*lengths))
    return _capped(pieces, reasoning, None if behaviour == "overrun" else question.output_cap)


def _capped(pieces: tuple[str, ...], reasoning: tuple[str, ...], cap: int | None) -> Choice:
    if cap is None or len(reasoning) + len(pieces) <= cap:
        return Choice(pieces, reasoning)
    return Choice(pieces[: max(0, cap - len(reasoning))], reasoning[:cap], truncated=True)


def _call(name: str, schema: Mapping[str, Any], rng: random.Random) -> Call:
    return Call(f"{rng.getrandbits(96):024x}", name, split(json.dumps(fill(schema, rng, schema))))


def _words(rng: random.Random, count: int) -> tuple[str, ...]:
    first = rng.randrange(len(WORDS))
    words = [WORDS[(first + i) % len(WORDS)] for i in range(count)]
    return tuple(word if i == 0 else f" {word}" for i, word in enumerate(words))


def split(text: str, size: int = 4) -> tuple[str, ...]:
    """A text in pieces of `size` characters."""
    return tuple(text[i : i + size] for i in range(0, len(text), size))


def fill(schema: Mapping[str, Any], rng: random.Random, root: Mapping[str, Any]) -> Any:
    """A value that fulfils a JSON schema of the kind structured outputs take. `root` resolves `$ref`."""
    if "$ref" in schema:
        return fill(_resolve(str(schema["$ref"]), root), rng, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if variants := schema.get("anyOf") or schema.get("oneOf"):
        return fill(variants[0], rng, root)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return {name: fill(inner, rng, root) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [fill(schema.get("items", {}), rng, root) for _ in range(max(2, schema.get("minItems", 0)))]
    return _scalar(kind, rng)


def _scalar(kind: str, rng: random.Random) -> Any:
    if kind == "integer":
        return rng.randint(0, 99)
    if kind == "number":
        return rng.randint(0, 999) / 10
    return {"boolean": rng.random() < 0.5, "null": None}.get(kind, rng.choice(WORDS))


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    node: Any = root
    for part in reference.removeprefix("#/").split("/"):
        node = node[part] if part != "#" else node
    return dict(node)
