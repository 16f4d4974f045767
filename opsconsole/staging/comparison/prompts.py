"""The prompts of a comparison, and the questions that come of them: each prompt to each model, as often as is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from keyvault.domain.endpoints import Dialect
from keyvault.domain.names import counted
from keyvault.domain.routes import Target, parse_target
from keyvault.errors import UsageError
from opsconsole.staging.comparison.expected import Expectation, expectation
from opsconsole.staging.exchanges import Exchange, Unusable

ASKABLE: Final = (Dialect.CHAT, Dialect.COMPLETIONS, Dialect.RESPONSES, Dialect.MESSAGES)
"""Prompts that are answered in words or tool calls."""
MOST_PROMPTS: Final = 2_000
_CAP_FIELD: Final = {Dialect.RESPONSES: "max_output_tokens"}
_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt, and what is expected of an answer."""

    exchange: Exchange
    expectation: Expectation | None

    @property
    def id(self) -> str:
        return self.exchange.id

    @property
    def task(self) -> str | None:
        return self.exchange.task

    def told(self) -> dict[str, Any]:
        """As the plan of a run keeps it."""
        each = self.exchange
        expected = None if each.expected is None else dict(each.expected)
        return {"id": each.id, "path": each.path, "body": each.body.decode(), "task": each.task, "expected": expected}

    @classmethod
    def of(cls, exchange: Exchange) -> Prompt:
        """Raises `UsageError` where what it expects makes no sense."""
        try:
            wanted = None if exchange.expected is None else expectation(exchange.expected)
        except UsageError as error:
            raise UsageError(f"prompt {exchange.id[:60]!a}: {error.message}", hint=error.hint) from None
        return cls(exchange, wanted)

    @classmethod
    def from_plan(cls, told: Mapping[str, Any]) -> Prompt:
        task, expected = told["task"], told["expected"]
        return cls.of(Exchange(told["id"], told["path"], told["body"].encode(), task=task, expected=expected))


@dataclass(frozen=True, slots=True)
class Model:
    """One of the models compared. `name`: as it was asked for; `pin`: the target that has to serve, if it is one."""

    name: str
    asked: str
    """What stands in the request."""
    pin: str | None = None
    revision: int | None = None
    """Of the routes that say who serves an alias of this home."""

    @property
    def target(self) -> Target | None:
        return None if self.pin is None else parse_target(self.pin)


@dataclass(frozen=True, slots=True)
class Sending:
    """How prompts are sent."""

    stream: bool = True
    """Where a prompt does not say: only a stream has a first content."""
    max_tokens: int | None = None
    """The cap on output of prompts that have none."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request: a prompt to a model for the nth time."""

    prompt: Prompt
    model: Model
    nth: int
    body: bytes

    @property
    def id(self) -> str:
        """Within its run."""
        return question_id(self.prompt.id, self.model, self.nth)

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.model.pin is None else {"x-gateway-pin": self.model.pin}

    def key(self, place: str) -> str:
        """What an answer of an earlier run is known by: the same request, for the nth time, at the same place."""
        asked = (place, self.prompt.exchange.path, self.model.pin or "", str(self.model.revision), str(self.nth))
        return hashlib.sha256("\0".join(asked).encode() + b"\0" + self.body).hexdigest()


def question_id(prompt_id: str, model: Model, nth: int) -> str:
    """Parted by what no id and no name holds."""
    return f"{prompt_id}\t{model.name}\t{nth}"


def usable(
    read: Iterable[Exchange | Unusable], source: str, limit: int | None = None
) -> tuple[list[Prompt], list[str]]:
    """The prompts among what was read, and what is said of lines that are none. Raises `UsageError`."""
    prompts: list[Prompt] = []
    left_out: list[str] = []
    for found in read:
        if len(prompts) >= (limit or MOST_PROMPTS + 1):
            break
        if not isinstance(found, Exchange):
            left_out.append(f"line {found.line}: {found.reason}")
        elif found.dialect not in ASKABLE:
            left_out.append(f"line {found.line}: {found.path} is not answered in words")
        else:
            prompts.append(Prompt.of(found))
    if not prompts:
        reason = f" ({left_out[0]})" if left_out else ""
        raise UsageError(f"{source}: no prompts in it{reason}", hint='one a line, such as {"prompt": "Name a colour."}')
    if len(prompts) > MOST_PROMPTS:
        raise UsageError(f"{source}: more than {MOST_PROMPTS:,} prompts", hint="--limit 50")
    return prompts, left_out


def questions(prompts: Sequence[Prompt], models: Sequence[Model], repeat: int, sending: Sending) -> Iterator[Question]:
    """In the order in which they are asked. The models of a prompt are asked one after the other, so that an hour which
    is slow is slow for all of them, and each of them is first as often as the others."""
    for nth in range(repeat):
        for at, prompt in enumerate(prompts):
            first = (at + nth) % len(models)
            for model in (*models[first:], *models[:first]):
                yield Question(prompt, model, nth, body_for(prompt.exchange, model, sending))


def body_for(exchange: Exchange, model: Model, sending: Sending) -> bytes:
    """The body of a prompt as a model gets it; what the prompt says itself stays."""
    fields = msgspec.json.decode(exchange.body, type=dict[str, msgspec.Raw])
    given: dict[str, Any] = {"model": model.asked}
    stream = exchange.stream if "stream" in fields else sending.stream
    if "stream" not in fields and stream:
        given["stream"] = True
    if stream and exchange.dialect in (Dialect.CHAT, Dialect.COMPLETIONS) and "stream_options" not in fields:
        given["stream_options"] = {"include_usage": True}
    if sending.max_tokens is not None and not any(exchange.field(cap) for cap in _CAPS):
        given[_CAP_FIELD.get(exchange.dialect, "max_tokens")] = sending.max_tokens
    return exchange.with_fields(**given)


def spoken_to(exchange: Exchange) -> str:
    """What a prompt says, as a text for whoever judges the answers: who says it, and what."""
    told = [exchange.field(name) for name in ("system", "instructions", "messages", "input", "prompt")]
    return "\n\n".join(line for each in told if each for line in _lines(each))


def _lines(told: Any) -> Iterable[str]:
    """The texts of a message, a list of them, or a content in parts."""
    if isinstance(told, str):
        yield told
    elif isinstance(told, list):
        for each in told:
            yield from _lines(each)
    elif isinstance(told, dict):
        inner = "\n".join(_lines(told.get("content", told.get("text"))))
        role = told.get("role")
        if inner:
            yield f"[{role}] {inner}" if isinstance(role, str) else inner
        elif "type" in told and "text" not in told:
            yield f"[{told['type']}]"


def check_models(named: Sequence[str]) -> list[str]:
    """The models to compare, each once. Raises `UsageError`."""
    names = [each.strip() for each in named if each.strip()]
    if len(names) < 2:
        raise UsageError("a comparison is of two models or more", hint="--models gpt-5-mini,openai/gpt-5")
    if len(set(names)) != len(names):
        raise UsageError("a model is named twice", hint="to ask each more than once: --repeat 3")
    return names


def left_out_text(left_out: Sequence[str]) -> str | None:
    """What is said of lines that are no prompts."""
    if not left_out:
        return None
    return f"{counted(len(left_out), 'line')} left out: {left_out[0]}"
