"""What would have to happen for what is wanted to be: planned from what is, shown to people, carried out in one go.

A step knows how it reads (`+` made, `~` changed, `-` ended) and what it does. Planning decides everything that can go
wrong; the steps of a plan are carried out in the transaction that it was made in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keyvault.storage.engine import Transaction


class Difference(NamedTuple):
    """A field that becomes another. `old` is None for what is new."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Step:
    sign: str
    """`+`, `~` or `-`."""
    scope: str
    """Such as `key:ci-bot`."""
    differences: tuple[Difference, ...] = ()
    do: Callable[[Transaction], None] = field(default=lambda tx: None, repr=False)
    needs_secret: bool = False
    """A key that is made, whose new secret somebody must receive."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they are taken; none where all is as wanted."""

    steps: tuple[Step, ...] = ()

    @property
    def new_secrets(self) -> int:
        return sum(step.needs_secret for step in self.steps)

    @property
    def ended(self) -> tuple[str, ...]:
        """The scopes that lose their access."""
        return tuple(step.scope for step in self.steps if step.sign == "-")

    def same_as(self, other: Plan) -> bool:
        """Whether both do the same things to the same, in the same order."""
        return [(s.sign, s.scope) for s in self.steps] == [(s.sign, s.scope) for s in other.steps]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The fields that differ between two descriptions, in the order of the new one."""
    return tuple(Difference(name, old.get(name), value) for name, value in new.items() if old.get(name) != value)
