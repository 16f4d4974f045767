"""What would have to happen for what is wanted to be: planned from what is, shown to people, carried out in one go.

A step knows how it reads (`+` made, `~` changed, `-` ended) and what it does. Planning decides everything that can go
wrong; the steps of a plan are carried out in the transaction that it was made in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keyvault.domain.differences import Change
from keyvault.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class Step(Change):
    """A change, and what makes it."""

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
