"""What a restore did about each change that the backup does not know."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """What a restore did about a change that the backup does not know."""

    REPEATED = "repeated"
    """It took access away, or moved prepaid money, and does so again."""
    SUSPENDED = "suspended"
    """The backup cannot vouch for it; somebody must look and resume it."""
    LOST = "lost"
    """Not in the backup, and not brought back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the changes of one thing that had the same result; action and reason are the last one's."""

    scope: str
    action: str
    result: Result
    why: str
    denied: bool
    """The thing itself gives no access any more."""
