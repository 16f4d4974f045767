"""What would change: how a plan reads, whatever it is a plan of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A field that becomes another. `old` is None for what is new."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is made, changed or ended."""

    sign: str
    """`+`, `~` or `-`."""
    scope: str
    """Such as `key:ci-bot`."""
    differences: tuple[Difference, ...] = ()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The fields that differ between two descriptions, in the order of the new one."""
    return tuple(Difference(name, old.get(name), value) for name, value in new.items() if old.get(name) != value)
