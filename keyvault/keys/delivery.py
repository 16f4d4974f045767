"""Where a new secret is taken, and what a place must be able to do for a rotation to survive anything.

A delivery is a sequence of named steps, each complete when its name is yielded. Dying between any two of them leaves
in the place a secret that works: the old one, or the new one, which is usable from the moment it exists. A place that
can be looked into tells the next run which of the two it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from keyvault.errors import GatewayError
from keyvault.secrets import Secret

if TYPE_CHECKING:
    from keyvault.keys.rotation import Rotation


class DeliveryFailed(GatewayError):
    """A new secret could not be taken to its place; the old one is still there and still works."""

    code = "delivery_failed"


class Delivery(Protocol):
    """A place for one key's secret."""

    @property
    def visible(self) -> bool:
        """Whether `held` can look into the place."""
        ...

    def alone(self) -> AbstractContextManager[object]:
        """Keep others from changing the place during a rotation. Raises `UnderWay`."""
        ...

    def check(self) -> None:
        """Before a secret is made: whether one could be delivered at all. Raises `GatewayError`."""
        ...

    def held(self) -> Secret | None:
        """The secret that is in the place now; None where there is none or nobody can look."""
        ...

    def resume(self) -> None:
        """Say that a process that died put the secret there: `undo` is then about what that one did."""
        ...

    def steps(self, rotation: Rotation) -> Iterator[str]:
        """Deliver, step by step. Raises `DeliveryFailed`, or `OSError`."""
        ...

    def undo(self) -> None:
        """Put back what was in the place before, if anything was changed. Raises `OSError` where that fails too."""
        ...

    def done(self) -> None:
        """Drop what only `undo` would have needed."""
        ...


class Handed:
    """Base of deliveries to someone who cannot be looked at and gives nothing back."""

    visible = False

    def alone(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def check(self) -> None:
        return

    def held(self) -> Secret | None:
        return None

    def resume(self) -> None:
        return

    def undo(self) -> None:
        return

    def done(self) -> None:
        return
