"""Prepaid balances: what was put in, entry by entry, and what was taken since."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from keyvault.clock import to_ms
from keyvault.domain.scopes import ScopeRef

BEGIN: Final = bytes(32)
"""What the first entry of a balance is chained to."""


class EntryKind(StrEnum):
    TOP_UP = "top_up"
    ADJUST = "adjust"
    """A correction, of either sign."""
    RELEASE = "release"
    """Gives back what was in doubt, after somebody has looked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Append-only."""

    number: int
    at: datetime
    actor: str
    kind: EntryKind
    amount_pico: int
    reason: str
    payment: str | None = None
    """What the payment is called elsewhere; it is booked once."""

    @property
    def said(self) -> tuple[int, int, str, str, int, str, str | None]:
        """What counts in it, as it is stored."""
        return self.number, to_ms(self.at), self.actor, self.kind.value, self.amount_pico, self.reason, self.payment


def chained(balance_id: int, previous: bytes, said: tuple[Any, ...]) -> bytes:
    """What chains an entry to the one before it. As Python writes values, in ASCII, no two of them look alike."""
    return hashlib.sha256(previous + ascii((balance_id, *said)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Balance:
    id: int
    scope: ScopeRef
    """A customer or a project."""
    env: str
    """Whose keys spend from it: `live` or `test`."""
    funded_pico: int
    """The sum of its entries."""
    charged_pico: int
    """What customers paid out of it."""
    doubt_pico: int
    """What failed or lost attempts may have cost: charged to nobody, and not to be spent until somebody releases it."""
    low_pico: int | None
    created_at: datetime
    released_pico: int = 0
    """How much of what was in doubt was given back; it is one of the entries, too."""
    entries: int = 0
    head: bytes = BEGIN
    """The digest of the last entry."""

    @property
    def name(self) -> str:
        """What it is called beside the database: its number may be another's after a restore."""
        return f"{self.scope} {self.env}"

    @property
    def available_pico(self) -> int:
        """What may be spent, before what is held for requests under way."""
        return self.funded_pico - self.charged_pico - self.doubt_pico

    @property
    def in_doubt_pico(self) -> int:
        """What is in doubt and was not given back."""
        return max(0, self.doubt_pico - self.released_pico)
