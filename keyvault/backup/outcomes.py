"""What a restore did about each change that the backup does not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from keyvault.audit import Entry
from keyvault.storage.engine import Transaction

RESUMED: Final = "resumed later; left suspended"


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


Step = Callable[[Transaction, Entry], Outcome | None]
"""Does one entry again in an open transaction; None where there is nothing to tell."""


def told(entry: Entry, result: Result, why: str) -> Outcome:
    return Outcome(entry.scope, entry.action, result, why, denied=result is not Result.LOST)


def lost(_tx: Transaction, entry: Entry) -> Outcome:
    return told(entry, Result.LOST, "it is not in the backup")
