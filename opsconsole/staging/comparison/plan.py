"""What a comparison set out to do, as its run keeps it: with the prompts, so that it goes on without their file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opsconsole.staging.comparison.prompts import Model, Prompt, Question, Sending, questions


@dataclass(frozen=True, slots=True)
class Plan:
    """`url`: None is the gateway of this home. `place`: what tells the place from others in the keys of answers."""

    prompts: tuple[Prompt, ...]
    models: tuple[Model, ...]
    repeat: int
    sending: Sending
    judge: Model | None
    url: str | None
    place: str
    left_out: str | None = None
    """What is said of lines that are no prompts."""

    @property
    def tasks(self) -> dict[str, str | None]:
        return {prompt.id: prompt.task for prompt in self.prompts}

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.models]

    @property
    def most_judgements(self) -> int:
        """How many questions the judge may be asked: each two answers to a prompt, in both orders."""
        if self.judge is None:
            return 0
        return len(self.models) * (len(self.models) - 1) * len(self.prompts) * self.repeat

    def questions(self) -> list[Question]:
        return list(questions(self.prompts, self.models, self.repeat, self.sending))

    def told(self) -> dict[str, Any]:
        return {
            "prompts": [prompt.told() for prompt in self.prompts],
            "models": [_model(model) for model in self.models],
            "repeat": self.repeat,
            "stream": self.sending.stream,
            "max_tokens": self.sending.max_tokens,
            "judge": None if self.judge is None else _model(self.judge),
            "url": self.url,
            "place": self.place,
            "left_out": self.left_out,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Plan:
        return cls(
            prompts=tuple(map(Prompt.from_plan, told["prompts"])),
            models=tuple(Model(**each) for each in told["models"]),
            repeat=told["repeat"],
            sending=Sending(told["stream"], told["max_tokens"]),
            judge=None if told["judge"] is None else Model(**told["judge"]),
            url=told["url"],
            place=told["place"],
            left_out=told["left_out"],
        )


def _model(model: Model) -> dict[str, Any]:
    return {"name": model.name, "asked": model.asked, "pin": model.pin, "revision": model.revision}
