"""A probe: one request that applications make, as data, and what must be so for its answer to count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opsconsole.staging.checking.aspects import Facts
from opsconsole.staging.checking.shapes import Shape

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Models:
    """The models to ask, and what the place calls the cap of a chat's output."""

    chat: str
    embedding: str | None = None
    messages: str | None = None
    cap_field: str = "max_tokens"


@dataclass(frozen=True, slots=True)
class Probe:
    """One request."""

    id: str
    about: str
    """What it looks at, for people."""
    path: str
    """Below `/v1`; `{model}` stands for the model's name."""
    shape: Shape
    """What the answer needs to be like where nothing else is there to compare it with."""
    body: Callable[[Models], Body | bytes] | None = None
    method: str = "POST"
    model: Callable[[Models], str | None] = field(default=lambda models: models.chat)
    """Which model it asks; None: the place has none, and the probe is skipped."""
    sdk: str = ""
    """The official SDK's method that makes this request, such as `openai.chat.completions.create`; empty: none does."""
    optional: bool = False
    """Not every model can do this: one that refuses is no fault."""
    lacks: Callable[[Facts], str | None] = field(default=lambda facts: None)
    """Says what the model did not do of what was to be looked at."""
    by_sdk: tuple[str, ...] = ()
    """Fields of the body that the SDK's method sets by itself."""
    fails: bool = False
    """An error is what it looks at; `optional`: some places answer all the same."""
    wants_json: bool = False
    """The answer's text is to be a JSON document."""
    key: str | None = None
    """Sent in place of the place's own key."""
    own_answer: bool = False
    """A gateway answers this itself and may use its own words."""
