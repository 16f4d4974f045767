"""One line of `gwctl doctor`: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from keyvault.home import Home


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    SKIPPED = "skipped"
    """Could not be looked at because of another finding, or with this unlock secret."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    text: str
    remedy: str | None = None


Look = Callable[[Home], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at. Where one of `needs` could not be looked at to its end, neither is this."""

    name: str
    look: Look
    needs: tuple[str, ...] = ()
    offline: bool = True
    """It calls nobody else."""
