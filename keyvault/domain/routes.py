"""Routes: which targets serve an alias, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from keyvault.domain.names import check_model, check_name
from keyvault.errors import UsageError


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """An (upstream, model) pair that can serve an alias."""

    upstream: str
    model: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.model}"


def parse_target(text: str) -> Target:
    """`openai/gpt-5` → Target; the model may itself contain slashes. Raises `UsageError`."""
    upstream, slash, model = text.partition("/")
    if not slash:
        raise UsageError(f"not a target: {text[:70]!a}", hint="write it as UPSTREAM/MODEL, such as openai/gpt-5")
    return Target(check_name("upstream", upstream), check_model(model))


@dataclass(frozen=True, slots=True)
class Route:
    """An alias and its targets: the first serves, the others are fallbacks in order."""

    alias: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Revision:
    """A numbered, immutable snapshot of all routes."""

    number: int
    created_at: datetime
    actor: str
    routes: tuple[Route, ...]
    """Sorted by alias."""
